// Comfort only: the page says and shows everything without it.
addEventListener("beforeprint", function () {
  document.querySelectorAll("details.open-in-print:not([open])").forEach(function (box) {
    box.open = true;
    box.dataset.closed = "";
  });
});
addEventListener("afterprint", function () {
  document.querySelectorAll("details[data-closed]").forEach(function (box) {
    box.open = false;
    delete box.dataset.closed;
  });
});
addEventListener("play", function (event) {
  document.querySelectorAll("audio, video").forEach(function (player) {
    if (player !== event.target) player.pause();
  });
}, true);
