// One pair at a time, a slider between its LR and bicubic, zoom, order. Without it the page shows all pairs as they are.
"use strict";
(() => {
  const root = document.documentElement;
  const list = document.querySelector(".cards");
  if (!list) return;
  root.classList.add("live");
  const strip = document.querySelector(".strip");
  const buttons = new Map(); // card -> its button in the strip

  const zoom = () => Number(root.style.getPropertyValue("--z") || 1);
  function setZoom(z) {
    root.style.setProperty("--z", z);
    for (const one of document.querySelectorAll("[data-zoom]")) one.ariaPressed = String(Number(one.dataset.zoom) === z);
  }

  function show(card) {
    for (const [one, button] of buttons) {
      one.hidden = one !== card;
      button.ariaPressed = String(one === card);
    }
  }

  // Where in the image a click lies, and what has to stay in place so that it comes to the middle, both 0..1.
  function zoomAt(event, card) {
    const view = event.currentTarget, image = view.querySelector("img"), box = view.getBoundingClientRect();
    if (zoom() > 1) return setZoom(1);
    const middles = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const [x, y] = middles.map((at) => `${100 * Math.min(1, Math.max(0, (at - 0.125) / 0.75))}%`);
    const alone = image.closest(".alone");
    const moved = alone ? [image] : card.querySelectorAll(".stage figure:not(.alone) img");
    for (const one of moved) {
      one.style.setProperty("--x", x);
      one.style.setProperty("--y", y);
    }
    setZoom(4);
  }

  function slider(card) {
    const [left, right] = ["left", "right"].map((side) => card.querySelector(`[data-side=${side}]`));
    if (!left || !right) return;
    const figure = document.createElement("figure"), view = document.createElement("span");
    const range = document.createElement("input"), caption = document.createElement("figcaption");
    const names = [left, right].map((tile) => tile.querySelector("b").textContent);
    figure.className = "slider";
    view.className = "view";
    for (const tile of [left, right]) {
      const cut = document.createElement("span"); // what is cut off does not grow with the zoom
      cut.append(tile.querySelector("img").cloneNode());
      view.append(cut);
    }
    Object.assign(range, { type: "range", min: 0, max: 100, step: 0.5, value: 50 });
    range.ariaLabel = `${names[0]} on the left, ${names[1]} on the right`;
    const set = () => figure.style.setProperty("--cut", `${range.value}%`);
    range.addEventListener("input", set);
    set();
    const line = document.createElement("i");
    view.append(line, range);
    for (const name of names) caption.append(Object.assign(document.createElement("b"), { textContent: name }));
    figure.append(view, caption);
    card.querySelector(".stage").prepend(figure);
  }

  for (const card of list.children) {
    slider(card);
    for (const view of card.querySelectorAll(".tiles .view")) view.addEventListener("click", (e) => zoomAt(e, card));
    const button = document.createElement("button"), image = document.createElement("img");
    const lr = card.querySelector('[data-side="right"] img') || card.querySelector("img");
    Object.assign(image, { src: lr.src, alt: "" });
    button.type = "button";
    button.title = button.ariaLabel = `Pair ${card.dataset.name}`;
    button.append(image);
    button.addEventListener("click", () => show(card));
    buttons.set(card, button);
    strip.append(button);
  }

  for (const one of document.querySelectorAll("[data-zoom]"))
    one.addEventListener("click", () => setZoom(Number(one.dataset.zoom)));

  const by = document.querySelector("#by");
  by.addEventListener("change", () => {
    const [key, way] = by.value.split(" ");
    const of = (card) => (key in card.dataset ? Number(card.dataset[key]) : NaN);
    const cards = [...buttons.keys()].sort((a, b) => {
      if (key === "name") return a.dataset.name < b.dataset.name ? -1 : 1;
      const [x, y] = [of(a), of(b)];
      return Number.isNaN(x) - Number.isNaN(y) || way * (x - y); // those that are not known come last
    });
    for (const card of cards) {
      list.append(card);
      strip.append(buttons.get(card));
    }
    show(cards[0]);
    strip.scrollLeft = 0;
  });

  strip.addEventListener("keydown", (event) => {
    const step = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
    const next = step && document.activeElement[step];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.click();
  });

  show(list.firstElementChild);
})();
