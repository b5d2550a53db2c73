// The page "Try it here": every choice is a file that tools/make_try_page.py has made, and is only shown here.
"use strict";

const {contents, styles, weights, steps, layers, losses} = CHOICES;
const [content, style, weight, step] = ["content", "style", "weight", "step"].map(name => byId(name));
const loaded = new Map(); // pictures that are next to the one shown: a slider that moves on does not flicker
let announcement;

function byId(name) {
  return document.getElementById(`try-${name}`);
}

function file(...parts) {
  return `_static/try/${parts.join("-")}.webp`;
}

function show(image, source, alt) {
  image.src = source;
  image.alt = alt;
}

function pasticheFile(w, s) {
  return file(content.value, style.value, weights[w], steps[s]);
}

function preload(w, s) {
  if (w in weights && s in steps && !loaded.has(pasticheFile(w, s))) {
    loaded.set(pasticheFile(w, s), Object.assign(new Image(), {src: pasticheFile(w, s)}));
  }
}

function setValue(slider, text) {
  slider.setAttribute("aria-valuetext", text);
  byId(slider.id.slice("try-".length) + "-value").textContent = text;
}

function showPastiche() {
  const [w, s] = [weight.valueAsNumber, step.valueAsNumber];
  const pair = `${contents[content.value]} and ${styles[style.value]}`;
  show(byId("pastiche"), pasticheFile(w, s), `Pastiche of ${pair}, content weight ${weights[w]}, step ${steps[s]}`);
  setValue(weight, `${weights[w]}`);
  setValue(step, `${steps[s]}`);
  const [ofContent, ofStyle] = losses[`${content.value}-${style.value}-${weights[w]}`][s];
  const rows = [
    [ofContent.toFixed(3), weights[w], (weights[w] * ofContent).toFixed(3)],
    [ofStyle.toFixed(3), 1, ofStyle.toFixed(3)],
    ["", "", (weights[w] * ofContent + ofStyle).toFixed(3)],
  ];
  byId("losses").querySelectorAll("td").forEach((cell, k) => (cell.textContent = rows.flat()[k]));
  for (const [i, k] of [[w - 1, s], [w + 1, s], [w, s - 1], [w, s + 1]]) preload(i, k);
  return `Content loss ${rows[0][0]}, style loss ${rows[1][0]}`;
}

function showPair() {
  const [picture, painting] = [contents[content.value], styles[style.value]];
  show(byId("content-image"), file(content.value), picture);
  show(byId("style-image"), file(style.value), painting);
  for (const layer of layers) {
    const [rebuilt, texture, gram] = byId(layer).querySelectorAll("img");
    show(rebuilt, file(content.value, layer), `${picture}, from its responses at ${layer}`);
    show(texture, file(style.value, layer), `Texture of ${painting}, from its Gram matrices up to ${layer}`);
    show(gram, file(style.value, layer, "gram"), `Gram matrix of ${painting} at ${layer}, as a table of colors`);
  }
  return showPastiche();
}

function on(control, event, update) {
  control.addEventListener(event, () => {
    const said = update();
    clearTimeout(announcement);
    announcement = setTimeout(() => (byId("status").textContent = said), 600); // once the sliders rest
  });
}

for (const [select, titles] of [[content, contents], [style, styles]]) {
  for (const [name, title] of Object.entries(titles)) select.add(new Option(title, name));
  on(select, "change", showPair);
}
for (const [slider, values, start] of [[weight, weights, weights.indexOf(0.04)], [step, steps, steps.length - 1]]) {
  slider.max = values.length - 1;
  slider.value = start;
  on(slider, "input", showPastiche);
}
const figures = ["Picture", "Texture", "Gram matrix"].map(name => `<figure><img><figcaption>${name}</figcaption></figure>`);
byId("layers").innerHTML = layers.map(name => `<div id="try-${name}"><p>${name}</p>${figures.join("")}</div>`).join("");
for (const part of [content, style, byId("sliders"), byId("losses")]) part.hidden = false;
for (const text of document.querySelectorAll(".try-without")) text.remove();
showPair();
