// Making elements. Names and output come from other programs: they become text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";

// h("div", {class: "x", onclick: f, style: {left: "1px"}}, child, ...): children are elements, texts,
// or null; attributes that are null or false are left out.
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else if (name === "value" || name === "checked" || name === "indeterminate") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function replace(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const CAN_BE_FOCUSED = "a[href], button, input, [tabindex]";

// The same for what is drawn again while it is read: the focus stays where it was.
export function refill(element, ...children) {
  const at = element.contains(document.activeElement) ? [...element.querySelectorAll(CAN_BE_FOCUSED)].indexOf(document.activeElement) : -1;
  replace(element, ...children);
  if (at >= 0) element.querySelectorAll(CAN_BE_FOCUSED)[at]?.focus({ preventScroll: true });
  return element;
}

// Calls `work` once in the next frame, however often it is asked.
export function inNextFrame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      work();
    });
  };
}
