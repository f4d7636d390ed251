// Kind: ABA on a lock-free free list.
// Modelled on: the free pool of IBM's System/370 Principles of Operation (1983), without the
// counter that the text asks for. Manifests: a buffer in use becomes the list's head and has two
// owners: an answer with somebody else's text, or the list runs dry.
#include <cstdlib>
#include <cstring>

#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kBuffers = 64;
constexpr size_t kTextBytes = 96;

struct Buffer {
  Buffer* volatile next;
  char text[kTextBytes];
  uint32_t seal;  // of the text, since it was put back
};

Buffer buffers[kBuffers];
Buffer* volatile free_list;
uint32_t empty_seal;

// An audit finds writes to a buffer that had been put back; such a one stays out of use.
Buffer* pop(bool audit) {
  while (true) {
    Buffer* top = free_list;  // RACE 1
    if (top == nullptr) return nullptr;
    Buffer* next = top->next;  // RACE 1
    const bool sound = !audit || zoo::checksum(top->text, kTextBytes) == top->seal;
    if (!__sync_bool_compare_and_swap(&free_list, top, next)) continue;  // RACE 2
    if (sound) return top;
  }
}

void push(Buffer* buffer) {
  std::memset(buffer->text, 0, kTextBytes);
  buffer->seal = empty_seal;
  do {
    buffer->next = free_list;
  } while (!__sync_bool_compare_and_swap(&free_list, buffer->next, buffer));
}

// A page is a head and a body; the head's buffer goes back as soon as it was copied.
bool format_page(const char* name, std::string& reply) {
  const bool audit = zoo::checksum(name, std::strlen(name)) % 8 == 0;
  Buffer* head = pop(audit);
  Buffer* body = pop(false);
  if (head == nullptr || body == nullptr) return false;
  std::strncpy(head->text, name, kTextBytes - 1);
  std::memset(body->text, name[std::strlen(name) - 1], kTextBytes / 2);
  reply += head->text;
  push(head);
  reply += ' ';
  reply.append(body->text, kTextBytes / 2);
  push(body);
  return true;
}

// page NAME -> NAME, and 48 times its last letter
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (!request.is("page") || *request.word(1) == '\0') {
    reply += "ERROR";
    return;
  }
  if (!format_page(request.word(1), reply)) reply += "ERROR out of buffers";
}

}  // namespace

int main(int argc, char** argv) {
  empty_seal = zoo::checksum(buffers[0].text, kTextBytes);
  for (Buffer& buffer : buffers) push(&buffer);
  return zoo::serve_with_worker_pool(argc, argv, answer);
}
