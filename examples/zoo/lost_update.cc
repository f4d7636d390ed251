// Kind: data race, one variable.
// Modelled on: the unlocked deposit (Netzer and Miller, "What are race conditions?", 1992).
// Manifests: two deposits get the same balance, one of them is lost.
#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kAccounts = 16;

struct Account {
  volatile unsigned long balance;
  volatile uint32_t seal;
};

Account accounts[kAccounts];

unsigned long deposit(Account& account, unsigned long amount) {
  const unsigned long balance = account.balance + amount;  // RACE 1
  account.seal = zoo::checksum(&balance, sizeof balance);
  account.balance = balance;  // RACE 2
  return balance;
}

// deposit ACCOUNT AMOUNT -> the new balance
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (!request.is("deposit")) {
    reply += "ERROR";
    return;
  }
  reply += std::to_string(deposit(accounts[request.number(1) % kAccounts], request.number(2)));
}

}  // namespace

int main(int argc, char** argv) { return zoo::serve_with_worker_pool(argc, argv, answer); }
