// Where the keyboard's focus goes.

/** Let Tab skip the open list of a drop-down. Browsers stop at what can be scrolled, but Gradio removes the list when
 *  its field is left, and the focus would be nowhere. */
export function skipOpenLists() {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Tab") return;
    for (const list of document.querySelectorAll(".options, .options [role=listbox]")) list.tabIndex = -1;
  }, true);
}
