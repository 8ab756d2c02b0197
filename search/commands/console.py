"""`reid serve`, and `reid users`: the console and the accounts that may use it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reid.errors import InputError
from search.commands.opening import archive_at, read_settings, read_snapshot
from search.commands.options import Home, Json, RayAddress
from search.commands.printing import print_json, print_table, say
from search.commands.running import command, ray_on_stderr

if TYPE_CHECKING:
    from indexer.shard.files import ArchiveFiles
    from search.actors import Actor

users_app = typer.Typer(
    no_args_is_help=True, help="Who may use the console, and search where rules ask for it."
)


@users_app.command("add")
@command
def users_add(
    name: Annotated[str, typer.Argument(help="Of the account; for the command line the system user's.")],
    role: Annotated[str, typer.Option(help="analyst, supervisor, operator, auditor or admin.")],
    district: Annotated[
        list[str] | None, typer.Option("--district", "-d", help="That it may see; repeats.")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="It may see every district.")] = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="For tokens and the command line alone.")
    ] = False,
    home: Home = None,
) -> None:
    """Add an account; asks for its password (or reads a line from stdin)."""
    password = None if no_password else _read_password()
    from search.accounts_work import add

    archive = archive_at(home)
    add(archive, _admin(archive), name, role, _reach(archive, district, everywhere), password)
    say(f"account {name} added ({role})")


@users_app.command("list")
@command
def users_list(home: Home = None, as_json: Json = False) -> None:
    """List the accounts."""
    from dataclasses import asdict

    from search.accounts_work import listed

    archive = archive_at(home)
    _admin(archive)
    found = listed(archive)
    if as_json:
        print_json({"accounts": [asdict(account) for account in found]})
        return
    rows = [
        [each.name, each.role, ", ".join(each.districts or ("every district",)), "disabled" * each.disabled]
        for each in found
    ]
    print_table(["name", "role", "districts", ""], rows)


@users_app.command("disable")
@command
def users_disable(
    name: Annotated[str, typer.Argument(help="Of the account.")],
    enable: Annotated[bool, typer.Option("--enable", help="Let it in again.")] = False,
    home: Home = None,
) -> None:
    """Shut an account out at once: its sessions and tokens end."""
    from search.accounts_work import change

    archive = archive_at(home)
    change(archive, _admin(archive), name, disabled=not enable)
    say(f"account {name} {'enabled' if enable else 'disabled'}")


@users_app.command("passwd")
@command
def users_passwd(name: Annotated[str, typer.Argument(help="Of the account.")], home: Home = None) -> None:
    """Set another password; ends the account's sessions and its lock-out."""
    from search.accounts_work import set_password

    archive = archive_at(home)
    set_password(archive, _admin(archive), name, _read_password())
    say(f"password of {name} set")


@users_app.command("role")
@command
def users_role(
    name: Annotated[str, typer.Argument(help="Of the account.")],
    role: Annotated[str | None, typer.Option(help="Another role. [default: as it is]")] = None,
    district: Annotated[
        list[str] | None, typer.Option("--district", "-d", help="Other districts; repeats.")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Every district.")] = False,
    home: Home = None,
) -> None:
    """Change what an account may do and see."""
    from search.accounts_work import change

    archive = archive_at(home)
    reach = _reach(archive, district, everywhere) if district or everywhere else False
    if role is None and reach is False:
        raise InputError("expected --role, --district or --everywhere")
    change(archive, _admin(archive), name, role=role, districts=reach)
    say(f"account {name} changed")


@users_app.command("token")
@command
def users_token(
    name: Annotated[str, typer.Argument(help="Of the account.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it lasts.")] = 90,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take back all tokens of the account.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a token for machines (`Authorization: Bearer ...`); it is shown this once."""
    from search.accounts_work import add_token, revoke_tokens

    archive = archive_at(home)
    actor = _admin(archive)
    made = {"revoked": revoke_tokens(archive, actor, name)} if revoke else {
        "token": add_token(archive, actor, name, days)
    }  # fmt: skip
    if as_json:
        print_json(made)
    else:
        typer.echo(made.get("token", f"{made.get('revoked')} tokens revoked"))


@command
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8765,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy on this machine speaks TLS; believe its headers.")
    ] = False,
    ray: RayAddress = None,
    home: Home = None,
) -> None:
    """Serve the console (extra `console`); the first account: reid users add NAME --role admin."""
    from search.console import Listening, run

    archive = archive_at(home)
    settings, table = read_settings(archive)
    read_snapshot(archive)
    with ray_on_stderr(ray):
        run(archive, settings, table, Listening(host, port, tls_cert, tls_key, behind_proxy), ray)


def _read_password() -> str:
    """Asked twice at a terminal; else a line of stdin."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _reach(archive: ArchiveFiles, district: list[str] | None, everywhere: bool) -> tuple[str, ...] | None:
    if everywhere == bool(district):
        raise InputError("expected --district NAME (repeats), or --everywhere")
    table = read_settings(archive)[1]
    return tuple(dict.fromkeys(table.find(name).slug for name in district)) if district else None


def _admin(archive: ArchiveFiles) -> Actor:
    """Who manages accounts: whoever the operating system lets write the archive."""
    from search.actors import Actor

    read_snapshot(archive)
    return Actor.of_this_process()
