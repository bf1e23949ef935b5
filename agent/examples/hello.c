/* cc hello.c $(pkg-config --cflags --libs taskforge) && ./a.out */
#include <taskforge.h>

int main(void) {
    tf_default_open("hello", NULL);
    TF_INFO("greet", "hello from process %s, for the %dst time", "one", 1);
    return 0;
}
