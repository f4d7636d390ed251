#include "runtime/host/externals.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace evenkeel::host {
namespace {

class ExternalsTest : public ::testing::Test {
 protected:
  static constexpr wire::Channel kSocket = wire::kVirtualSocketBase + 7;

  static wire::BindArguments loopback(uint16_t port = 0) {
    wire::BindArguments arguments{};
    arguments.domain = AF_INET;
    arguments.type = SOCK_STREAM;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    arguments.address.bytes = sizeof address;
    std::memcpy(arguments.address.data, &address, sizeof address);
    return arguments;
  }
  void post(wire::ExternalOp op, uint32_t index, int64_t value, const wire::BindArguments* in,
            wire::Channel channel = kSocket) {
    call_->op = op;
    call_->thread = 1;
    call_->index = index;
    call_->channel = channel;
    call_->value = value;
    if (in != nullptr) {
      call_->in_bytes = sizeof *in;
      std::memcpy(call_->in, in, sizeof *in);
    }
    call_->state.store(1);
  }
  int64_t ask(wire::ExternalOp op, uint32_t index, int64_t value, const wire::BindArguments* in,
              wire::Channel channel = kSocket) {
    call_ = std::make_unique<wire::ExternalCall>();
    post(op, index, value, in, channel);
    EXPECT_TRUE(externals_.serve(*call_));
    EXPECT_EQ(call_->state.load(), 2U);
    return call_->result;
  }
  uint16_t bound_port() {
    wire::SocketAddress out;
    std::memcpy(&out, call_->out, sizeof out);
    sockaddr_in address;
    std::memcpy(&address, out.data, sizeof address);
    return ntohs(address.sin_port);
  }

  Connections connections_;
  Network network_{connections_};
  Externals externals_{connections_, network_};
  std::unique_ptr<wire::ExternalCall> call_;
};

TEST_F(ExternalsTest, ServesOnlyWhatIsPosted) {
  call_ = std::make_unique<wire::ExternalCall>();
  EXPECT_FALSE(externals_.serve(*call_));
}

TEST_F(ExternalsTest, EveryReplicaGetsTheSameAnswer) {
  const wire::BindArguments arguments = loopback();
  ASSERT_EQ(ask(wire::ExternalOp::kBind, 0, 0, &arguments), 0);
  const uint16_t port = bound_port();
  EXPECT_NE(port, 0);
  ASSERT_EQ(ask(wire::ExternalOp::kBind, 0, 0, &arguments), 0);  // the second replica
  EXPECT_EQ(bound_port(), port);
  EXPECT_EQ(ask(wire::ExternalOp::kListen, 1, 16, nullptr), 1);
  EXPECT_EQ(ask(wire::ExternalOp::kListen, 1, 16, nullptr), 1);
  EXPECT_GE(network_.listener_fd(1), 0);
  EXPECT_LT(network_.listener_fd(2), 0);
}

TEST_F(ExternalsTest, OtherArgumentsUnderTheSameIndexAreStale) {
  const wire::BindArguments arguments = loopback();
  ASSERT_EQ(ask(wire::ExternalOp::kBind, 0, 0, &arguments), 0);
  EXPECT_EQ(ask(wire::ExternalOp::kListen, 0, 16, nullptr), -ESTALE);
  const wire::BindArguments other = loopback(1);
  EXPECT_EQ(ask(wire::ExternalOp::kBind, 0, 0, &other), -ESTALE);
}

TEST_F(ExternalsTest, TheKernelsErrorsArePassedOn) {
  const wire::BindArguments first = loopback();
  ASSERT_EQ(ask(wire::ExternalOp::kBind, 0, 0, &first), 0);
  const wire::BindArguments taken = loopback(bound_port());
  ASSERT_EQ(ask(wire::ExternalOp::kListen, 1, 16, nullptr), 1);
  EXPECT_EQ(ask(wire::ExternalOp::kBind, 2, 0, &taken, kSocket + 1), -EADDRINUSE);
  EXPECT_EQ(ask(wire::ExternalOp::kListen, 3, 16, nullptr, kSocket + 2), -EDESTADDRREQ);
}

TEST_F(ExternalsTest, AnswersSurviveARollbackInAnyOrder) {
  const wire::BindArguments arguments = loopback();
  ASSERT_EQ(ask(wire::ExternalOp::kBind, 0, 0, &arguments), 0);
  const uint16_t port = bound_port();
  externals_.discard();
  ASSERT_EQ(ask(wire::ExternalOp::kBind, 5, 0, &arguments), 0);  // asked later this time
  EXPECT_EQ(bound_port(), port);
  externals_.agree();
  EXPECT_EQ(ask(wire::ExternalOp::kListen, 6, 16, nullptr), 1);
}

TEST_F(ExternalsTest, WhatTheAgreedRunDidNotDoIsUndone) {
  const wire::BindArguments arguments = loopback();
  ASSERT_EQ(ask(wire::ExternalOp::kBind, 0, 0, &arguments), 0);
  const wire::BindArguments same_port = loopback(bound_port());
  ASSERT_EQ(ask(wire::ExternalOp::kListen, 1, 16, nullptr), 1);
  externals_.discard();
  externals_.agree();
  EXPECT_LT(network_.listener_fd(1), 0);
  EXPECT_EQ(ask(wire::ExternalOp::kBind, 0, 0, &same_port), 0);  // free again
}

TEST_F(ExternalsTest, AfterAnAgreedBatchAnIndexIsFree) {
  const wire::BindArguments arguments = loopback();
  ASSERT_EQ(ask(wire::ExternalOp::kBind, 0, 0, &arguments), 0);
  externals_.agree();
  EXPECT_EQ(ask(wire::ExternalOp::kListen, 0, 16, nullptr), 1);
}

TEST_F(ExternalsTest, AForgottenSocketGivesItsAddressBack) {
  const wire::BindArguments arguments = loopback();
  ASSERT_EQ(ask(wire::ExternalOp::kBind, 0, 0, &arguments), 0);
  const wire::BindArguments same_port = loopback(bound_port());
  EXPECT_EQ(ask(wire::ExternalOp::kForget, 1, 0, nullptr), 0);
  EXPECT_EQ(ask(wire::ExternalOp::kBind, 2, 0, &same_port, kSocket + 1), 0);
}

TEST_F(ExternalsTest, MalformedQuestionsAreRefused) {
  EXPECT_EQ(ask(wire::ExternalOp::kBind, 0, 0, nullptr), -EINVAL);
  EXPECT_EQ(ask(static_cast<wire::ExternalOp>(99), 1, 0, nullptr), -ENOSYS);
}

}  // namespace
}  // namespace evenkeel::host
