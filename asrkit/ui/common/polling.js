// Chapter shared by the recorder and the evaluation: a question to the server, what is wrong in its place, and what is
// expected to be said.

async function ask(name, asked) {
  try {
    const told = await answered(name, asked);
    if (told.error) { complain(told.error); return null; }
    return told;
  } catch (error) {
    console.warn("asrkit: no answer", error);
    complain("The app does not answer; try again in a moment.");
    return null;
  }
}

// Where the app is gone Gradio gives nothing, and no error.
async function answered(name, asked) {
  const told = await server[name](asked);
  if (!told) throw new Error("the app does not answer; try again in a moment");
  return told;
}

// A button that waits: it keeps the focus, which one that is disabled loses.
function hold(button, on) { button.setAttribute("aria-disabled", String(on)); }
const held = (button) => button.getAttribute("aria-disabled") === "true";

// What the fields of "Words to expect" say.
const expected = () => ({ expect: part("expect").value, hot: part("hot").value, lm: part("lm").value });

// A folded section says whether anything is in it.
part("expectation").addEventListener("input", () => {
  part("expecting").hidden = !Object.values(expected()).some((value) => value.trim());
});

function complain(words) { part("error").textContent = words; part("error").hidden = !words; }
