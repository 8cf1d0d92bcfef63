try{let t=localStorage.getItem("tallycast:theme");t&&(document.documentElement.dataset.theme=t)}catch{}
