// Kind: racy lazy initialisation.
// Modelled on: the lazily created singleton (Schmidt and Harrison, "Double-checked locking", 1996),
// without any lock.
// Manifests: two threads make the object, one of them is forgotten, with what was done to it: a
// visit is not counted.
#include <cstdio>
#include <cstdlib>

#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kRooms = 1 << 16;

struct Room {
  pthread_mutex_t lock;
  unsigned long visits;
  char name[48];
};

Room* volatile rooms[kRooms];

Room* make_room(size_t number) {
  auto* room = static_cast<Room*>(std::calloc(1, sizeof(Room)));
  pthread_mutex_init(&room->lock, nullptr);
  std::snprintf(room->name, sizeof room->name, "room %zu (%08x)", number,
                zoo::checksum(&number, sizeof number));
  return room;
}

Room* room_of(size_t number) {
  if (rooms[number] == nullptr) {       // RACE 1
    rooms[number] = make_room(number);  // RACE 2
  }
  return rooms[number];
}

unsigned long visit(Room& room) {
  const zoo::Locked locked(room.lock);
  return ++room.visits;
}

// visit ROOM -> which visit of this room it was
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (!request.is("visit")) {
    reply += "ERROR";
    return;
  }
  reply += std::to_string(visit(*room_of(request.number(1) % kRooms)));
}

}  // namespace

int main(int argc, char** argv) { return zoo::serve_with_worker_pool(argc, argv, answer); }
