// All grids in one translation unit, so that one fatbin holds them under the names that loader and driver know.
#include "pixels.cu"
#include "select.cu"
#include "tiles.cu"
#include "update.cu"
