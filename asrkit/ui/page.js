// First chapter of every component's script. `element` is the component's.

const part = (name) => element.querySelector(`[data-part="${name}"]`);

function saveAs(content, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
