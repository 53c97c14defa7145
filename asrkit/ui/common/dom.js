// Small helpers for a component's elements.

/** A function that finds the element of `root` with that `data-part`. */
export const partsOf = (root) => (name) => root.querySelector(`[data-part="${name}"]`);

/** A new element with these properties and children; null and undefined children are left out. */
export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Change a text only if it is another one, so that a selection in it survives. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Show a message in its element, or hide the element if there is none. */
export function showMessage(node, message) {
  setText(node, message || "");
  node.hidden = !message;
}

/** Fill a <select> with [value, label] pairs and choose one of them. */
export function fillOptions(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, label]) => make("option", { value, textContent: label })));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

/** Mark a button as busy. Unlike a disabled one it keeps the focus. */
export const setBusy = (button, busy) => button.setAttribute("aria-disabled", String(busy));
export const isBusy = (button) => button.getAttribute("aria-disabled") === "true";

/** Offer a file that the page has made itself. */
export function saveFile(content, type, name) {
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Fetch a file from the app. The browser shows the download itself. */
export function downloadFile(href) {
  make("a", { href, download: "" }).click();
}

/** Call `onDrop` with the files that are dropped on `area`; `highlight` has the class "over" meanwhile. */
export function acceptDrops(area, highlight, onDrop) {
  area.addEventListener("dragover", (event) => {
    event.preventDefault();
    highlight.classList.add("over");
  });
  area.addEventListener("dragleave", () => highlight.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    highlight.classList.remove("over");
    onDrop([...event.dataTransfer.files]);
  });
}

/** Call `onFiles` with what is chosen in a file input, which is then empty again. */
export function onFilesChosen(input, onFiles) {
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = "";
    onFiles(files);
  });
}

/** A link that opens here on a plain click, and in another tab or window as the browser does it. */
export function makeInPageLink(href, text, onOpen) {
  const link = make("a", { href, textContent: text });
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    onOpen();
  });
  return link;
}

/** Call `onChange` when the page switches between light and dark. */
export function watchColourScheme(onChange) {
  new MutationObserver(onChange).observe(document.body, { attributes: true, attributeFilter: ["class"] });
}

/** A CSS variable as it applies to `node`. */
export const cssVariable = (node, name) => getComputedStyle(node).getPropertyValue(name).trim();

/** Write a value into the query of the page's address, or take it out if it is empty. */
export function setInAddress(name, value) {
  const address = new URL(location.href);
  if (value) address.searchParams.set(name, value);
  else address.searchParams.delete(name);
  if (address.href !== location.href) history.replaceState(history.state, "", address);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
