/** The sign-in page: send the password, and open the page if it is right. */

export function mount() {
  const form = document.querySelector("#sign-in");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const password = form.querySelector("#password").value;
    const answer = await fetch("sign-in", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ password }),
    });
    if (answer.ok) location.reload();
    else form.querySelector("[role=alert]").textContent = await answer.text();
  });
}
