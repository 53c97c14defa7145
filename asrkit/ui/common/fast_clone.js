// Copy values that cannot change without a call into the browser. Gradio copies every property of a component whenever
// one of them changes, each text in it by structuredClone: the choices of the models alone are a hundred thousand calls
// while the page loads, a fifth of the processor time that this takes. It runs before Gradio, so it is no module.
{
  const clone = globalThis.structuredClone.bind(globalThis);
  const copied = new Set(["object", "function", "symbol"]); // the browser refuses the last two
  globalThis.structuredClone = (value, options) =>
    value !== null && copied.has(typeof value) ? clone(value, options) : value;
}
