/* An external delegate for tests: what it does is told by its options "mode" and "log".

   Only the first fields of TFLite's structures are declared (tensorflow/lite/core/c/common.h); their order is
   part of its stable interface. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, FAILED = 1 };

typedef struct {
  int size;
  int data[];
} IntArray;

struct Delegate;
struct Context;

typedef struct {
  void *(*init)(struct Context *, const char *, size_t);
  void (*free)(struct Context *, void *);
  int (*prepare)(struct Context *, void *);
  int (*invoke)(struct Context *, void *);
  const char *(*profiling_string)(const struct Context *, const void *);
  int32_t builtin_code;
  const char *custom_name;
  int version;
  void *external;
  void *(*async_kernel)(struct Context *, void *);
  uint64_t inplace_operator;
} Registration;

typedef struct Context {
  size_t tensors_size;
  int (*get_execution_plan)(struct Context *, IntArray **);
  void *tensors;
  void *implementation;
  int (*resize_tensor)(void);
  void (*report_error)(struct Context *, const char *, ...);
  int (*add_tensors)(void);
  int (*get_node)(void);
  int (*replace_nodes)(struct Context *, Registration, const IntArray *, struct Delegate *);
} Context;

typedef struct Delegate {
  void *data;
  int (*prepare)(Context *, struct Delegate *);
  int (*copy_from)(void);
  int (*copy_to)(void);
  void (*free_handle)(void);
  int64_t flags;
  void *builder;
} Delegate;

static char mode[64], log_path[4096];

static void note(const char *text) {
  FILE *file = log_path[0] ? fopen(log_path, "a") : NULL;
  if (file) {
    fprintf(file, "%s\n", text);
    fclose(file);
  }
}

static void *kernel_init(Context *context, const char *buffer, size_t length) {
  (void)context, (void)buffer, (void)length;
  return malloc(1);
}

static void kernel_free(Context *context, void *data) {
  (void)context;
  free(data);
  note("kernel freed");
}

static int kernel_prepare(Context *context, void *node) {
  (void)context, (void)node;
  return OK;
}

static int kernel_invoke(Context *context, void *node) {
  (void)context, (void)node;
  note("invoked");
  return OK;
}

/* Take the model's last operation. */
static int prepare(Context *context, Delegate *delegate) {
  IntArray *plan, *last;
  int status;
  if (!strcmp(mode, "refuse model")) {
    context->report_error(context, "this model is not for me");
    return FAILED;
  }
  if (!strcmp(mode, "take nothing")) return OK;
  context->get_execution_plan(context, &plan);
  last = malloc(sizeof(int) * 2);
  last->size = 1;
  last->data[0] = plan->data[plan->size - 1];
  Registration kernel = {.init = kernel_init, .free = kernel_free, .prepare = kernel_prepare,
                         .invoke = kernel_invoke, .custom_name = "Tiny", .version = 1};
  status = context->replace_nodes(context, kernel, last, delegate);
  free(last);
  return status;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  char text[4096] = "no device;";
  for (size_t i = 0; i < count; i++) {
    strncat(text, " ", sizeof text - strlen(text) - 1);
    strncat(text, keys[i], sizeof text - strlen(text) - 1);
    if (!strcmp(keys[i], "mode")) snprintf(mode, sizeof mode, "%s", values[i]);
    if (!strcmp(keys[i], "log")) snprintf(log_path, sizeof log_path, "%s", values[i]);
  }
  if (!strcmp(mode, "refuse")) report(text);
  if (!strcmp(mode, "refuse") || !strcmp(mode, "refuse silently")) return NULL;
  Delegate *delegate = calloc(1, sizeof *delegate);
  delegate->prepare = prepare;
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) {
  if (!delegate) return;
  free(delegate);
  note("delegate destroyed");
}
