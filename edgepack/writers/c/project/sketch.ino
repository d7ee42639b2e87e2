// Runs @prefix@ once and prints the first bytes of its output.
#include <@prefix@.h>

void setup() {
  Serial.begin(115200);
}

void loop() {
  memset(@prefix@_input(0), 0, @UPPER@_INPUT0_BYTES);
  if (@prefix@_run() == @UPPER@_OK) {
    const int8_t *output = (const int8_t *)@prefix@_output(0);
    for (unsigned i = 0; i < 8 && i < @UPPER@_OUTPUT0_BYTES; i++) {
      Serial.print(output[i]);
      Serial.print(' ');
    }
    Serial.println();
  }
  delay(1000);
}
