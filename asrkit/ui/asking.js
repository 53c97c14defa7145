// Chapter shared by the recorder and the evaluation: a question to the server, what is wrong in its place, and what is
// expected to be said.

async function ask(name, asked) {
  try {
    const told = await server[name](asked);
    if (told.error) { complain(told.error); return null; }
    return told;
  } catch (error) {
    console.warn("asrkit: no answer", error);
    complain("The app does not answer; try again in a moment.");
    return null;
  }
}

// What the fields of "Words to expect" say.
const expected = () => ({ expect: part("expect").value, hot: part("hot").value, lm: part("lm").value });

// A folded section says whether anything is in it.
part("expectation").addEventListener("input", () => {
  part("expecting").hidden = !Object.values(expected()).some((value) => value.trim());
});

function complain(words) { part("error").textContent = words; part("error").hidden = !words; }
