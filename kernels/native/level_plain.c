// What every processor can do: vectors of four floats, which compilers map to SSE2 or NEON.
#define LANES 4
#define INTS 0
#include "body.h"
MAKE(plain);
