// Kind: racy lazy initialisation.
// Modelled on: the lazily created singleton (Schmidt and Harrison, "Double-checked locking", 1996),
// without any lock.
// Manifests: two threads make the object, one of them is forgotten, with what was done to it: a
// visit is not counted.
#include <cstdio>
#include <cstdlib>

#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kRooms = 1024;
constexpr size_t kBoardBytes = 256;

struct Room {
  pthread_mutex_t lock;
  unsigned long visits;
  char name[48];
  char board[kBoardBytes];
  uint32_t seal;  // of the board
};

Room* volatile rooms[kRooms];

Room* make_room(size_t number) {
  auto* room = static_cast<Room*>(std::calloc(1, sizeof(Room)));
  pthread_mutex_init(&room->lock, nullptr);
  std::snprintf(room->name, sizeof room->name, "room %zu (%08x)", number,
                zoo::checksum(&number, sizeof number));
  std::snprintf(room->board, sizeof room->board, "welcome to %s", room->name);
  room->seal = zoo::checksum(room->board, sizeof room->board);
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

// An operator's command, for times when nobody else is there.
void close_rooms() {
  for (Room* volatile& room : rooms) {
    if (room == nullptr) continue;
    pthread_mutex_destroy(&room->lock);
    std::free(room);
    room = nullptr;
  }
}

// visit ROOM -> which visit of this room it was; close -> OK, all rooms are new again
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (request.is("visit")) {
    reply += std::to_string(visit(*room_of(request.number(1) % kRooms)));
  } else if (request.is("close")) {
    close_rooms();
    reply += "OK";
  } else {
    reply += "ERROR";
  }
}

}  // namespace

int main(int argc, char** argv) { return zoo::serve_with_worker_pool(argc, argv, answer); }
