// Search runs in a Worker, which browsers refuse to a page that was opened from a folder. There, its script runs in a
// hidden frame of the page instead: same messages, same importScripts (which gives a promise here).
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    onmessage = null;
    onerror = null;

    constructor(script) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      this.inside.postMessage = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        this.onmessage?.(event);
      };
      const load = (address) =>
        new Promise((resolve, reject) => {
          const element = this.inside.document.createElement("script");
          element.src = new URL(address, new URL(script, location.href)).href;
          element.onload = resolve;
          element.onerror = reject;
          this.inside.document.body.append(element);
        });
      this.inside.importScripts = (...addresses) =>
        addresses.reduce((before, address) => before.then(() => load(address)), Promise.resolve());
      this.loaded = load(new URL(script, location.href)).catch((error) => this.onerror?.(error));
    }

    postMessage(data) {
      this.loaded.then(() => {
        const event = new this.inside.MessageEvent("message", { data });
        this.inside.dispatchEvent(event);
        this.inside.onmessage?.(event);
      });
    }

    terminate() {
      this.inside.frameElement.remove();
    }
  };
  window.IFrameWorker = window.Worker; // by this name the theme's script knows that it is in a frame
}
