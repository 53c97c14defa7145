// First chapter of every component's script. `element` is the component's.

const part = (name) => element.querySelector(`[data-part="${name}"]`);

// Some browsers begin with the sound of a page asleep, and Firefox without any sound device never wakes it.
async function wake(context) {
  const asleep = new Error("the browser's sound does not start; is there a device to play it on?");
  await Promise.race([context.resume(), new Promise((_, fail) => setTimeout(() => fail(asleep), 5000))]);
}

function saveAs(content, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
