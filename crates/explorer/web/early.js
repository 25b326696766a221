// Before the page is drawn, so that it never flashes in the other colours.
try {
  const chosen = localStorage.getItem('theme');
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // Without storage the system's colours stay.
}

// The time series need the library at once: it is fetched and compiled while their modules still come.
if (/^\/(series)?$/.test(location.pathname)) {
  const script = document.createElement('script');
  script.src = '/assets/echarts.js';
  // Whoever needs it tries once more.
  script.addEventListener('error', () => script.remove());
  document.head.append(script);
}
