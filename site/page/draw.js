// Frames on canvases, as large pixels.
import { colour } from "../../pusa_lab/studio/static/studio.js";
import { tables } from "./model.js";

const side = tables.world.size, plane = side * side;

/** One frame of a clip {data (c, f, h * w)} as (3, h * w). */
export function frameOf(x, frame) {
  const out = new Float32Array(3 * plane);
  for (let c = 0; c < 3; c++) out.set(x.data.subarray((c * x.frames + frame) * plane, (c * x.frames + frame + 1) * plane), c * plane);
  return out;
}

const scratch = document.createElement("canvas");
scratch.width = scratch.height = side;

/** Paint pixels (3, h * w) in [-1, 1] as a square. */
export function paintFrame(context, pixels, x, y, size) {
  const image = new ImageData(side, side);
  for (let p = 0; p < plane; p++) {
    for (let c = 0; c < 3; c++) image.data[4 * p + c] = Math.round((Math.min(Math.max(pixels[c * plane + p], -1), 1) + 1) * 127.5);
    image.data[4 * p + 3] = 255;
  }
  scratch.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(scratch, x, y, size, size);
}

/** A bar in the colour of a noise level, as in the matrix. */
export function paintLevel(context, level, x, y, width, height) {
  context.fillStyle = colour(level);
  context.fillRect(x, y, width, height);
}
