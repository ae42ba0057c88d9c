// Tells the style sheet that scripts run, before anything is painted.
document.documentElement.classList.add("scripted");
