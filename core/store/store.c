#include <cube/types.h>
