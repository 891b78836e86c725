"use strict";
const all = (selector) => Array.from(document.querySelectorAll(selector));
const steps = all(".step"), find = document.getElementById("find"), count = document.getElementById("count");

// Without a script all steps are shown; with one, those that are searched for.
function sift() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  const shut = new Set(all("[data-only][aria-pressed=false]").map((b) => b.dataset.only));
  let shown = 0;
  for (const step of steps) {
    step.hidden = shut.has(step.dataset.class) || !words.every((word) => step.dataset.text.includes(word));
    shown += step.hidden ? 0 : 1;
  }
  count.textContent = `${shown} of ${steps.length} steps`;
}
if (find) {
  find.addEventListener("input", sift);
  for (const button of all("[data-only]")) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      sift();
    });
  }
}
for (const button of all("[data-fold]")) {
  button.addEventListener("click", () => {
    for (const step of steps) if (!step.hidden) step.open = button.dataset.fold === "open";
  });
}

// A link to a step unfolds it, even if it was not among those that are shown.
function unfold() {
  const step = location.hash.startsWith("#step-") && document.getElementById(location.hash.slice(1));
  if (!step) return;
  step.hidden = false;
  step.open = true;
  step.scrollIntoView({ block: "center" });
  step.querySelector("summary").focus({ preventScroll: true });
}
addEventListener("hashchange", unfold);
for (const link of all("a[href^='#step-']")) {
  link.addEventListener("click", () => { if (link.getAttribute("href") === location.hash) unfold(); });
}
unfold();

for (const button of all("[data-zoom]")) {
  button.addEventListener("click", () => {
    for (const other of all("[data-zoom]")) other.setAttribute("aria-pressed", String(other === button));
    document.querySelector("#graph .canvas").classList.toggle("fit", button.dataset.zoom === "fit");
  });
}

// What a resource needs directly, and what needs it directly, stays lit.
const graph = document.querySelector(".cw-graph");
function light(address) {
  const near = new Set([address]);
  for (const way of all(".cw-graph .way")) {
    const on = way.dataset.from === address || way.dataset.to === address;
    way.classList.toggle("on", on);
    way.nextElementSibling.classList.toggle("on", on);
    if (on) near.add(way.dataset.from).add(way.dataset.to);
  }
  for (const node of all(".cw-graph .node")) node.classList.toggle("on", near.has(node.dataset.address));
  graph.classList.add("lit");
}
if (graph) {
  for (const node of all(".cw-graph .node[data-address]")) {
    const around = node.parentElement.tagName === "a" ? node.parentElement : node;
    around.addEventListener("mouseenter", () => light(node.dataset.address));
    around.addEventListener("focus", () => light(node.dataset.address));
    for (const end of ["mouseleave", "blur"]) around.addEventListener(end, () => graph.classList.remove("lit"));
  }
}
