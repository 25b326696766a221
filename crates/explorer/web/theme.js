// Before the page is drawn, so that it never flashes in the other colours.
try {
  const chosen = localStorage.getItem('theme');
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // Without storage the system's colours stay.
}
