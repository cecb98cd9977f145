/** Making elements without markup in strings: what a user is called can't become markup. */

/** @param {string} id */
export const byId = (id) => document.getElementById(id);

/**
 * @param {string} name of the element
 * @param {Record<string, any>} properties `class`, `on...` handlers, anything else as an attribute
 * @param {...(Node | string)} children
 */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** One of the icons that index.html holds. @param {string} name */
export function icon(name, className = "icon") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Set an element's text, if it is another: the screen reader and the layout are left alone when nothing changes. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
