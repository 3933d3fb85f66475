// The nano world: a scene as numbers, as pixels and in words; small_models/world is its truth.
// A scene is {level, objects: [{shape, colour, direction, speed, x, y}]}, lengths in sides of the picture.

/** Reflect a number into [0, room]. */
const fold = (x, room) => room - Math.abs((((x % (2 * room)) + 2 * room) % (2 * room)) - room);

/** Centre (x, y) of an object at a frame: it bounces off the walls. */
export function position(one, frame, world) {
  const [dx, dy] = world.directions[one.direction], pace = world.speeds[one.speed] / Math.hypot(dx, dy), r = world.radius;
  return [one.x + frame * pace * dx, one.y + frame * pace * dy].map((p) => r + fold(p - r, 1 - 2 * r));
}

/** Signed distance to the edge of a shape around (0, 0), negative inside. */
function distance(x, y, shape, r) {
  if (shape === "circle") return Math.hypot(x, y) - r;
  if (shape === "square") return Math.max(Math.abs(x), Math.abs(y)) - 0.85 * r;
  return Math.max((Math.sqrt(3) * Math.abs(x) - y) / 2, y) - (1.15 * r) / 2;
}

/** The pixels of a frame, (3, size * size) in [-1, 1]. */
export function renderFrame(scene, frame, world) {
  const { size, radius } = world, plane = size * size, out = new Float32Array(3 * plane).fill(scene.level * 2 - 1);
  for (const one of scene.objects) {
    const [cx, cy] = position(one, frame, world), ink = world.colours[one.colour];
    for (let p = 0; p < plane; p++) {
      const x = ((p % size) + 0.5) / size - cx, y = (Math.floor(p / size) + 0.5) / size - cy;
      const cover = Math.min(Math.max(0.5 - size * distance(x, y, one.shape, radius), 0), 1);
      for (let c = 0; c < 3; c++) out[c * plane + p] += cover * (2 * ink[c] - 1 - out[c * plane + p]);
    }
  }
  return out;
}

/** The whole clip, one array per frame. */
export const render = (scene, world) => Array.from({ length: world.frames }, (_, frame) => renderFrame(scene, frame, world));

/** The scene in words: "a red circle moves slowly right, a blue square moves up". */
export const caption = (scene) =>
  scene.objects.map(({ shape, colour, direction, speed }) => `a ${colour} ${shape} moves ${[speed, direction].filter(Boolean).join(" ")}`).join(", ");

/** What a caption says of each object, or null if it is not in the world's grammar. */
export function parse(text, world) {
  const any = (names) => names.filter(Boolean).sort((a, b) => b.length - a.length).join("|");
  const words = [any(Object.keys(world.colours)), any(world.nouns), any(Object.keys(world.speeds)), any(Object.keys(world.directions))];
  const pattern = new RegExp(`^an? (${words[0]}) (${words[1]}) moves (?:(${words[2]}) )?(${words[3]})$`);
  const parts = text.toLowerCase().replace(/[. ]+$/, "").split(/\s+/).join(" ").split(/ ?, ?/).map((part) => pattern.exec(part));
  return parts.every(Boolean) ? parts.map(([, colour, shape, speed, direction]) => ({ colour, shape, speed: speed || "", direction })) : null;
}

/** Pixels in [-1, 1] to bytes and back, as Python keeps a picture. */
export const toBytes = (pixels) => Uint8Array.from(pixels, (x) => Math.round((Math.min(Math.max(x, -1), 1) + 1) * 127.5));
export const fromBytes = (bytes) => Float32Array.from(bytes, (b) => b / 127.5 - 1);
