// Records what the library logs, for as long as the object lives.
#pragma once

#include <gtest/gtest.h>

#include <mutex>
#include <ostream>
#include <string>
#include <vector>

#include "include/smxpack.h"

namespace smx {

class LogRecorder {
 public:
  struct Message {
    smx_log_level level;
    std::string text;
  };

  explicit LogRecorder(smx_log_level level) { smx_set_log_callback(Receive, this, level); }
  ~LogRecorder() { smx_set_log_callback(nullptr, nullptr, smx_log_level_none); }
  LogRecorder(const LogRecorder&) = delete;
  LogRecorder& operator=(const LogRecorder&) = delete;

  // When nothing logs any more.
  const std::vector<Message>& messages() const { return messages_; }

  // Forgets what has been logged so far.
  void Clear() { messages_.clear(); }

  // Whether a message of this level holds the text.
  bool Holds(smx_log_level level, const std::string& text) const {
    for (const Message& message : messages_) {
      if (message.level == level && message.text.find(text) != std::string::npos) return true;
    }
    return false;
  }

 private:
  static void Receive(void* context, smx_log_level level, const char* message) {
    LogRecorder* recorder = static_cast<LogRecorder*>(context);
    const std::lock_guard<std::mutex> lock(recorder->mutex_);
    recorder->messages_.push_back({level, message});
    EXPECT_EQ(recorder->messages_.back().text.find('\n'), std::string::npos) << message;
  }

  std::mutex mutex_;
  std::vector<Message> messages_;
};

inline std::ostream& operator<<(std::ostream& os, const LogRecorder& recorder) {
  for (const LogRecorder::Message& message : recorder.messages()) os << "logged: " << message.text << "\n";
  return os;
}

}  // namespace smx
