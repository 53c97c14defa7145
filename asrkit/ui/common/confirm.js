// A second click for what throws something away: later than a double click, and soon enough to be meant.

const CONFIRM_MS = 10000;
const DOUBLE_CLICK_MS = 400;

/** -> {isArmed(button), arm(button, question), reset()} */
export function createConfirmation() {
  let armed = null; // { button, text, timer }

  function reset() {
    if (!armed) return;
    clearTimeout(armed.timer);
    armed.button.classList.remove("confirm");
    armed.button.textContent = armed.text;
    armed = null;
  }

  function arm(button, question) {
    reset();
    armed = { button, text: button.textContent, timer: setTimeout(reset, CONFIRM_MS) };
    button.classList.add("confirm");
    button.textContent = question;
    button.ariaDisabled = "true"; // a disabled one would lose the focus
    setTimeout(() => { button.ariaDisabled = null; }, DOUBLE_CLICK_MS);
  }

  return { isArmed: (button) => armed?.button === button, arm, reset };
}
