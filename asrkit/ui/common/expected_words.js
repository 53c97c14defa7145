// The fields of "Words to expect", which recordings and evaluations share.

/** -> a function that gives what the fields hold. A folded section shows whether anything is in it. */
export function mountExpectedWords(part) {
  const texts = () => ({ expect: part("expect").value, hot: part("hot").value, lm: part("lm").value });
  const values = () => ({ ...texts(), common: part("common").checked });
  part("expectation").addEventListener("input", () => {
    part("expecting").hidden = !Object.values(texts()).some((value) => value.trim());
  });
  return values;
}
