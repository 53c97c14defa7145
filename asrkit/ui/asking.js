// Chapter shared by the recorder and the evaluation: a question to the server, and what is wrong in its place.

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

function complain(words) { part("error").textContent = words; part("error").hidden = !words; }
