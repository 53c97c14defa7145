// The fields of "Words to expect", which recordings and evaluations share.

/** -> a function that gives what the fields hold. A folded section shows whether anything is in it. */
export function mountExpectedWords(part) {
  const values = () => ({ expect: part("expect").value, hot: part("hot").value, lm: part("lm").value });
  part("expectation").addEventListener("input", () => {
    part("expecting").hidden = !Object.values(values()).some((value) => value.trim());
  });
  return values;
}
