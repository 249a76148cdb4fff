// Builds elements without any HTML text: what a shop is called can never become markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes, `on…` listeners and children (elements or text). */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** An icon of the sprite in index.html; it says nothing to a screen reader. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A copy of a drawing in index.html. */
export function drawing(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

/** An SVG element. */
export function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Set text only when it changed, so that a screen reader is not made to say it again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Fill `{names}` in a text. */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Amount: currency code small, figures large; read aloud as one. */
export function amount(money, className) {
  const length = money.figures.length > 11 ? "long" : money.figures.length > 7 ? "medium" : "short";
  return el(
    "p",
    { class: `amount ${className}`, "data-length": length },
    el("span", { class: "code" }, money.code),
    " ",
    el("span", { class: "figures" }, money.figures),
  );
}
