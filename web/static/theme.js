// Runs before the first paint, so that a chosen theme never flashes the other one. Hence a classic script.
(function () {
  var key = "samedoor.theme";
  function read() {
    try { return localStorage.getItem(key) || "auto"; } catch (e) { return "auto"; }
  }
  function apply(theme) {
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }
  apply(read());
  document.addEventListener("DOMContentLoaded", function () {
    var box = document.getElementById("theme");
    var now = read();
    box.querySelectorAll("input").forEach(function (radio) { radio.checked = radio.value === now; });
    box.addEventListener("change", function (event) {
      apply(event.target.value);
      try { localStorage.setItem(key, event.target.value); } catch (e) { /* private mode: for this visit only */ }
    });
  });
})();
