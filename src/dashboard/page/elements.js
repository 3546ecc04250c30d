/** Makes an element. Attributes are set as such; `text`, `class` and `on…` listeners as their names say. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A tile of the row of figures: name, value and a line below it. */
export function tile(name) {
  const value = h("div", { class: "value", text: "–" });
  const detail = h("div", { class: "detail" });
  return {
    element: h("div", { class: "tile" }, h("dt", { text: name }), h("dd", {}, value, detail)),
    update(text, below = "", tone = "") {
      setText(value, text);
      setText(detail, below);
      if (value.dataset.tone !== tone) value.dataset.tone = tone;
    },
  };
}

export function tiles(...all) {
  return h("dl", { class: "tiles" }, ...all.map(({ element }) => element));
}

/** A card on the page's grid: `half`, `third`, `two-thirds` of its width, or all of it. */
export const card = (size, ...content) => h("section", { class: `card ${size}` }, ...content);

export const grid = (...cards) => h("div", { class: "grid" }, ...cards);

/** Columns of a table. */
export const words = (label, cell) => ({ label, cell });
export const number = (label, cell) => ({ label, cell, kind: "number" });
export const id = (label, cell) => ({ label, cell, kind: "id" });

/** A list of names and values. */
export function facts() {
  const element = h("dl", { class: "facts" });
  return {
    element,
    update(pairs) {
      const text = JSON.stringify(pairs);
      if (element.dataset.text === text) return;
      element.dataset.text = text;
      element.replaceChildren(
        ...pairs.flatMap(([name, value]) => [h("dt", { text: name }), h("dd", { text: value })]),
      );
    },
  };
}

/**
 * A table whose rows are changed in place, so that focus and selection stay where they are.
 *
 * A column has a label, a kind (`number`, `id` or none), and gives for a row a text, or an object with `text` and `status`, `bar` (a share),
 * or `onclick` with `pressed` and `label`.
 */
export function dataTable(caption, columns, { empty = "Nothing yet.", long = false } = {}) {
  const body = h("tbody");
  const head = h(
    "tr",
    {},
    ...columns.map(({ label, kind }) => h("th", { scope: "col", class: kind, text: label })),
  );
  const table = h("table", {}, h("caption", { text: caption }), h("thead", {}, head), body);
  const element = h(
    "div",
    { class: long ? "scroll long" : "scroll", tabindex: "0", role: "region", "aria-label": caption },
    table,
  );
  const none = h("tr", {}, h("td", { colspan: String(columns.length), text: empty }));
  const newRow = () => h("tr", {}, ...columns.map(({ kind }) => h("td", { class: kind })));
  return {
    element,
    update(rows) {
      if (rows.length === 0) return body.replaceChildren(none);
      none.remove();
      while (body.rows.length > rows.length) body.lastChild.remove();
      while (body.rows.length < rows.length) body.append(newRow());
      for (const [index, row] of rows.entries())
        for (const [place, column] of columns.entries())
          fill(body.rows[index].cells[place], column.cell(row));
    },
  };
}

function fill(cell, content) {
  if (typeof content === "string") return setText(cell, content);
  if (content.onclick) return fillButton(cell, content);
  if (content.bar !== undefined && !cell.querySelector(".bar"))
    cell.replaceChildren(h("span", { class: "bar", "aria-hidden": "true" }), h("span"));
  if (content.status !== undefined && !cell.querySelector(".status"))
    cell.replaceChildren(h("span", { class: "status" }));
  setText(cell.lastChild, content.text);
  if (content.bar !== undefined) cell.firstChild.style.setProperty("--share", `${100 * content.bar}%`);
  if (content.status !== undefined) cell.firstChild.dataset.status = content.status;
}

/** What a click on a button of a table does; rows change under their buttons. */
const chosen = new WeakMap();

function fillButton(cell, { text, onclick, pressed, label }) {
  let button = cell.firstChild;
  if (!button) {
    button = h("button", { type: "button" });
    button.addEventListener("click", () => chosen.get(button)());
    cell.append(button);
  }
  setText(button, text);
  button.setAttribute("aria-label", label);
  button.setAttribute("aria-pressed", String(pressed));
  chosen.set(button, onclick);
}
