// Keys, drops, a few frames on hover. Everything also works without it, by forms and links.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const typing = (target) => target.closest("input, select, textarea, dialog[open]") !== null;

// Photos: choosing or dropping files sends them at once.
for (const form of all("[data-drop]")) {
  const input = form.querySelector("input[type=file]");
  input.addEventListener("change", () => { form.classList.add("busy"); form.submit(); });
  for (const kind of ["dragenter", "dragover"]) {
    form.addEventListener(kind, (event) => { event.preventDefault(); form.classList.add("over"); });
  }
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    input.files = event.dataTransfer.files;
    form.classList.add("busy");
    form.submit();
  });
}

// Tiles: all or none of the districts.
for (const part of all("[data-all-none]")) {
  part.hidden = false;
  const boxes = all("[data-tiles] input:not(:disabled)");
  part.querySelector("[data-all]").addEventListener("click", () => boxes.forEach((box) => { box.checked = true; }));
  part.querySelector("[data-none]").addEventListener("click", () => boxes.forEach((box) => { box.checked = false; }));
}

// Where somebody was last seen: a camera, or any point of the map.
for (const map of all("[data-map] svg")) {
  const field = document.querySelector("[name=last_seen]");
  const cross = map.querySelector(".cross");
  const [first, step] = [map.dataset.first, map.dataset.step].map((pair) => pair.split(",").map(Number));
  map.addEventListener("click", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
    const [latitude, longitude] = [first[0] + step[0] * at.y, first[1] + step[1] * at.x];
    field.value = event.target.dataset.place || `${latitude.toFixed(5)},${longitude.toFixed(5)}`;
    cross.setAttribute("transform", `translate(${at.x} ${at.y})`);
    cross.setAttribute("visibility", "visible");
  });
}

// A person in a photo is chosen by clicking on them.
for (const box of all("[data-person]")) {
  box.addEventListener("click", () => document.querySelector(`button[name=person][value="${box.dataset.person}"]`).click());
}

// A picture that cannot be shown gives way to the archive's own, or says so.
for (const image of all("img[data-else]")) {
  const instead = () => { if (image.dataset.else) { image.src = image.dataset.else; delete image.dataset.else; } };
  image.addEventListener("error", instead);
  if (image.complete && !image.naturalWidth) instead();
}
for (const image of all("img[data-gone]")) {
  const told = () => { image.closest("[data-film]").textContent = image.dataset.gone; };
  image.addEventListener("error", told);
  if (image.complete && !image.naturalWidth) told();
}

// A few frames: eight pictures in a row that move through a window.
function play(link) {
  if (link.querySelector(".frames")) return;
  const frames = document.createElement("span");
  const image = new Image();
  frames.className = "frames";
  image.alt = "";
  image.addEventListener("error", () => frames.remove());
  image.src = link.dataset.strip;
  frames.append(image);
  link.append(frames);
}
for (const link of all("[data-strip]")) {
  let soon = 0;
  link.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") soon = setTimeout(() => play(link), 250); });
  link.addEventListener("pointerleave", () => { clearTimeout(soon); link.querySelector(".frames")?.remove(); });
}

// The whole picture is asked for, and recorded, only when somebody opens it.
for (const part of all("[data-whole]")) {
  part.addEventListener("toggle", () => {
    if (!part.open || part.querySelector("img")) return;
    const image = new Image();
    image.src = part.dataset.whole;
    image.alt = "";
    part.append(image);
  });
}

// Two that are marked are compared.
const compare = document.querySelector("[data-compare]");
const marks = all("[data-mark]");
function marked() {
  const chosen = marks.filter((mark) => mark.checked).map((mark) => mark.dataset.mark);
  const [a, b] = chosen.slice(-2);
  if (compare) {
    compare.href = compare.href.split("?")[0] + (b ? `?a=${a}&b=${b}` : "");
    compare.querySelector("[data-marked]").textContent = chosen.length || "";
    compare.classList.toggle("main", chosen.length > 1);
  }
}
marks.forEach((mark) => mark.addEventListener("change", marked));

// A decision comes back to the page as it was arranged, and to the picture that follows.
for (const form of all("form.judge")) {
  form.addEventListener("submit", () => {
    form.querySelector("[name=back]").value = location.pathname.includes("/sightings/") ? "" : location.search;
    const card = form.closest(".card");
    const cards = all(".card");
    if (card) sessionStorage.setItem("next", cards[cards.indexOf(card) + 1]?.dataset.sighting || "");
    document.body.classList.add("busy");
  });
}

const cards = all("[data-grid] > .card");
const next = sessionStorage.getItem("next");
sessionStorage.removeItem("next");
if (cards.length) (document.getElementById(`s-${next}`) || document.getElementById(location.hash.slice(1)) || cards[0]).focus({ preventScroll: !next });

function columns() {
  const top = cards[0].offsetTop;
  return Math.max(1, cards.filter((card) => card.offsetTop === top).length);
}

const help = document.querySelector("[data-keys]");
document.querySelector("[data-help]")?.addEventListener("click", () => help.showModal());

document.addEventListener("keydown", (event) => {
  if (typing(event.target) || event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key;
  const there = document.activeElement.closest?.(".card");
  const place = cards.indexOf(there);
  const steps = { ArrowRight: 1, ArrowLeft: -1, j: 1, k: -1 };
  if (cards.length && (key in steps || key === "ArrowDown" || key === "ArrowUp")) {
    const step = steps[key] ?? (key === "ArrowDown" ? columns() : -columns());
    const wanted = cards[Math.min(Math.max(place + step, 0), cards.length - 1)];
    wanted.focus();
    wanted.scrollIntoView({ block: "nearest" });
    event.preventDefault();
  } else if (key === "?" && help) {
    help.showModal();
  } else if (key === "v" && compare) {
    location.href = compare.href;
  } else if (there && key === " ") {
    const link = there.querySelector("[data-strip]");
    const frames = link.querySelector(".frames");
    if (frames) frames.remove(); else play(link);
    event.preventDefault();
  } else if (there && key === "Enter" && document.activeElement === there) {
    location.href = there.dataset.url;
  } else if (there && key === "c") {
    const mark = there.querySelector("[data-mark]");
    mark.checked = !mark.checked;
    marked();
  } else {
    const button = (there || document).querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (button && !(cards.length && !there)) { button.click(); event.preventDefault(); }
  }
});
