/* In a file of its own, and inline: the stack names the line, not the function that was folded away. */

static inline int share(int whole, int parts) {
  return whole / parts;
}
