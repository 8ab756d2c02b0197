"""Tests leave nothing in the settings of whoever runs them."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def _own_settings_folder(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        # No test but those of runtimes depends on which is faster here, nor waits until it is known.
        patch.setenv("REID_RUNTIME", "torch")
        yield
