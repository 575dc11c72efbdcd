// The example's reader of .npy files: what is well-formed is read, anything else gets a reason and nothing worse.
#include "examples/npy.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace {

std::string FloatBytes(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  if (!values.empty()) memcpy(&bytes[0], values.data(), bytes.size());
  return bytes;
}

std::string Preamble(int major, size_t header_length) {
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(major);
  bytes += '\0';
  for (int i = 0; i < (major == 1 ? 2 : 4); i++) bytes += static_cast<char>(header_length >> (8 * i) & 0xFF);
  return bytes;
}

std::string NpyBytes(int major, const std::string& header, const std::vector<float>& values) {
  return Preamble(major, header.size()) + header + FloatBytes(values);
}

std::string Dictionary(const std::string& shape) {
  return "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }   \n";
}

class NpyTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/npy_test.XXXXXX";
    ASSERT_NE(mkdtemp(&name[0]), nullptr);
    folder_ = name;
    path_ = folder_ + "/array.npy";
  }

  void TearDown() override {
    remove(path_.c_str());
    EXPECT_EQ(rmdir(folder_.c_str()), 0) << "a test left a file behind";
  }

  void WriteBytes(const std::string& bytes) {
    remove(path_.c_str());  // file systems are slow to truncate what they have
    FILE* file = fopen(path_.c_str(), "wb");
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
    ASSERT_EQ(fclose(file), 0);
  }

  std::string ReadBytes() {
    FILE* file = fopen(path_.c_str(), "rb");
    if (file == nullptr) return "";
    char bytes[4096];
    const size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    return std::string(bytes, size);
  }

  void ExpectReads(const std::string& bytes, size_t dimensions, size_t rows, size_t columns,
                   const std::vector<float>& values) {
    WriteBytes(bytes);
    NpyArray array;
    std::string error;
    ASSERT_TRUE(ReadNpy(path_, &array, &error)) << error;
    EXPECT_EQ(array.dimensions, dimensions);
    EXPECT_EQ(array.rows, rows);
    EXPECT_EQ(array.columns, columns);
    ASSERT_EQ(array.rows * array.columns, values.size());
    if (!values.empty()) {
      EXPECT_EQ(memcmp(array.values.get(), values.data(), values.size() * sizeof(float)), 0);
    }
  }

  // Rejects, with a reason that holds these words.
  void ExpectRejects(const std::string& bytes, const std::string& reason) {
    WriteBytes(bytes);
    NpyArray array;
    std::string error;
    EXPECT_FALSE(ReadNpy(path_, &array, &error)) << "should say: " << reason;
    EXPECT_NE(error.find(reason), std::string::npos) << "says: " << error << "\nshould say: " << reason;
    EXPECT_EQ(array.values, nullptr);
  }

  void ExpectRejectsHeader(const std::string& header, const std::string& reason) {
    ExpectRejects(NpyBytes(1, header, {1, 2, 3, 4, 5, 6}), reason);
  }

  std::string folder_;
  std::string path_;
};

TEST_F(NpyTest, ReadsOneDimension) {
  ExpectReads(NpyBytes(1, Dictionary("(3,)"), {1, 2, 3}), 1, 1, 3, {1, 2, 3});
}

TEST_F(NpyTest, ReadsTwoDimensions) {
  ExpectReads(NpyBytes(1, Dictionary("(2, 3)"), {1, 2, 3, 4, 5, 6}), 2, 2, 3, {1, 2, 3, 4, 5, 6});
}

TEST_F(NpyTest, ReadsVersion2) {
  ExpectReads(NpyBytes(2, Dictionary("(2, 2)"), {1, 2, 3, 4}), 2, 2, 2, {1, 2, 3, 4});
}

TEST_F(NpyTest, ReadsInfinityAndNan) {
  const std::vector<float> values = {-INFINITY, INFINITY, NAN, -0.0f, 1e-45f};
  ExpectReads(NpyBytes(1, Dictionary("(5,)"), values), 1, 1, 5, values);
}

TEST_F(NpyTest, ReadsOtherSpellings) {
  ExpectReads(NpyBytes(1, "{\"shape\":(1,2),\"descr\":\"<f4\",\"fortran_order\":False}", {1, 2}), 2, 1, 2,
              {1, 2});
  ExpectReads(NpyBytes(1, " { 'shape' : ( 2 , 1 , ) , 'descr' : '<f4' , 'fortran_order' : False }", {1, 2}),
              2, 2, 1, {1, 2});
}

TEST_F(NpyTest, ReadsNoElements) {
  ExpectReads(NpyBytes(1, Dictionary("(0, 3)"), {}), 2, 0, 3, {});
  ExpectReads(NpyBytes(1, Dictionary("(3, 0)"), {}), 2, 3, 0, {});
  ExpectReads(NpyBytes(1, Dictionary("(0,)"), {}), 1, 1, 0, {});
}

TEST_F(NpyTest, RejectsWhatIsNotAFile) {
  NpyArray array;
  std::string error;
  EXPECT_FALSE(ReadNpy(folder_ + "/absent.npy", &array, &error));
  EXPECT_EQ(error, strerror(ENOENT));
  EXPECT_FALSE(ReadNpy(folder_, &array, &error));
  EXPECT_EQ(error, "not a regular file");
  EXPECT_FALSE(ReadNpy("/dev/zero", &array, &error));
  EXPECT_EQ(error, "not a regular file");
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(ReadNpy(path_, &array, &error));
  EXPECT_EQ(error, "not a regular file");
}

TEST_F(NpyTest, RejectsOtherFormats) {
  ExpectRejects("", "too short");
  ExpectRejects("a,b\n1,2\n3,4\n5,6\n", "not a .npy file");
  ExpectRejects(NpyBytes(3, Dictionary("(1,)"), {1}), "format 3.0");
  std::string bytes = NpyBytes(1, Dictionary("(1,)"), {1});
  bytes[7] = 1;
  ExpectRejects(bytes, "format 1.1");
}

TEST_F(NpyTest, RejectsEveryTruncation) {
  for (int version : {1, 2}) {
    const std::string bytes = NpyBytes(version, Dictionary("(2, 2)"), {1, 2, 3, 4});
    for (size_t size = 0; size < bytes.size(); size++) ExpectRejects(bytes.substr(0, size), "");
  }
}

TEST_F(NpyTest, RejectsSizeMismatch) {
  ExpectRejects(NpyBytes(1, Dictionary("(2, 2)"), {1, 2, 3}), "12 bytes follow");
  ExpectRejects(NpyBytes(1, Dictionary("(2, 2)"), {1, 2, 3, 4, 5}), "20 bytes follow");
  ExpectRejects(NpyBytes(1, Dictionary("(2, 2)"), {1, 2, 3, 4}) + "\n", "17 bytes follow");
  ExpectRejects(NpyBytes(1, Dictionary("(0, 2)"), {1}), "4 bytes follow");
}

// Products that wrap around to the true size included.
TEST_F(NpyTest, RejectsSizesThatOverflow) {
  ExpectRejects(NpyBytes(1, Dictionary("(1000000000000,)"), {1}), "4 bytes follow");
  ExpectRejects(NpyBytes(1, Dictionary("(4611686018427387905,)"), {1}), "4 bytes follow");
  ExpectRejects(NpyBytes(1, Dictionary("(4294967296, 4294967296)"), {}), "0 bytes follow");
  ExpectRejects(NpyBytes(1, Dictionary("(2147483649, 2147483649)"), {1}), "4 bytes follow");
  ExpectRejects(NpyBytes(1, Dictionary("(18446744073709551616,)"), {1}), "not a size");
  ExpectRejects(NpyBytes(1, Dictionary("(99999999999999999999999999,)"), {1}), "not a size");
}

TEST_F(NpyTest, RejectsHeaderLengthThatLies) {
  const std::string header = Dictionary("(1,)");
  ExpectRejects(Preamble(1, 65535) + header + FloatBytes({1}), "longer than the file");
  ExpectRejects(Preamble(2, 0xFFFFFFFF) + header + FloatBytes({1}), "longer than the file");
  ExpectRejects(Preamble(2, 70000) + header + std::string(70000, ' '), "longer than 65535");
  ExpectRejects(Preamble(1, 0) + header + FloatBytes({1}), "not a dictionary");
  ExpectRejects(Preamble(1, header.size() + 4) + header + FloatBytes({1}), "goes on");
}

TEST_F(NpyTest, RejectsOtherElements) {
  for (const char* type : {"<f8", ">f4", "=f4", "|f4", "f4", "<i4", "|O", ""}) {
    ExpectRejectsHeader("{'descr': '" + std::string(type) + "', 'fortran_order': False, 'shape': (2, 3), }",
                        "of type '" + std::string(type) + "'");
  }
  ExpectRejectsHeader("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2, 3), }", "plain type");
}

TEST_F(NpyTest, RejectsOtherOrders) {
  ExpectRejectsHeader("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", "Fortran order");
  ExpectRejectsHeader("{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3), }", "neither True nor False");
  ExpectRejectsHeader("{'descr': '<f4', 'fortran_order': Falsehood, 'shape': (2, 3), }", "commas");
}

TEST_F(NpyTest, RejectsOtherShapes) {
  ExpectRejectsHeader(Dictionary("()"), "no dimension");
  ExpectRejectsHeader(Dictionary("(1, 2, 3)"), "more than 2");
  ExpectRejectsHeader(Dictionary("(6)"), "not a tuple");
  ExpectRejectsHeader(Dictionary("6"), "not a tuple");
  ExpectRejectsHeader(Dictionary("[2, 3]"), "not a tuple");
  ExpectRejectsHeader(Dictionary("(2 3)"), "not a tuple");
  ExpectRejectsHeader(Dictionary("(,)"), "not a size");
  ExpectRejectsHeader(Dictionary("(2,,3)"), "not a size");
  ExpectRejectsHeader(Dictionary("(-2, -3)"), "not a size");
  ExpectRejectsHeader(Dictionary("(2.0, 3)"), "not a tuple");
  ExpectRejectsHeader(Dictionary("(0x2, 3)"), "not a tuple");
  ExpectRejectsHeader("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3", "not a tuple");
}

TEST_F(NpyTest, RejectsOtherHeaders) {
  ExpectRejectsHeader("", "not a dictionary");
  ExpectRejectsHeader("[]", "not a dictionary");
  ExpectRejectsHeader("{}", "lacks");
  ExpectRejectsHeader("{", "not a dictionary of names");
  ExpectRejectsHeader("{'descr", "not a dictionary of names");
  ExpectRejectsHeader("{'descr' '<f4'}", "not a dictionary of names");
  ExpectRejectsHeader("{'descr': '<f4', 'shape': (2, 3)}", "lacks");
  ExpectRejectsHeader("{'descr': '<f4', 'fortran_order': False}", "lacks");
  ExpectRejectsHeader("{'fortran_order': False, 'shape': (2, 3)}", "lacks");
  ExpectRejectsHeader("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", "twice");
  ExpectRejectsHeader("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}", "unknown");
  ExpectRejectsHeader("{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}", "commas");
  ExpectRejectsHeader("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} {}", "goes on");
  ExpectRejectsHeader("{'descr': '<\\x664', 'fortran_order': False, 'shape': (2, 3)}", "plain type");
}

// Whatever a byte before the data is changed to, the file is read or rejected: the sanitizers see to the rest.
TEST_F(NpyTest, SurvivesEveryChangedByte) {
  const std::vector<float> values = {1, 2, 3, 4};
  for (int version : {1, 2}) {
    const std::string good = NpyBytes(version, Dictionary("(2, 2)"), values);
    for (size_t i = 0; i < good.size() - values.size() * sizeof(float); i++) {
      for (char c : {'\0', '\x01', '\x7F', '\xFF', ' ', '\n', '\'', '(', ')', ',', '}', '9'}) {
        std::string bytes = good;
        bytes[i] = c;
        WriteBytes(bytes);
        NpyArray array;
        std::string error;
        const bool is_read = ReadNpy(path_, &array, &error);
        EXPECT_EQ(is_read, error.empty());
        if (is_read) {
          EXPECT_EQ(array.rows * array.columns, values.size());
        }
      }
    }
  }
}

NpyArray SomeArray(size_t dimensions, size_t rows, size_t columns) {
  NpyArray array;
  array.dimensions = dimensions;
  array.rows = rows;
  array.columns = columns;
  array.values = AllocateFloats(rows * columns);
  for (size_t i = 0; i < rows * columns; i++) array.values[i] = static_cast<float>(i) + 0.5f;
  return array;
}

TEST_F(NpyTest, ReadsWhatItWrote) {
  const size_t shapes[][3] = {{1, 1, 1}, {1, 1, 7}, {2, 1, 7},    {2, 7, 1},
                              {2, 5, 3}, {2, 0, 3}, {2, 12345, 2}};
  for (const auto& shape : shapes) {
    const NpyArray written = SomeArray(shape[0], shape[1], shape[2]);
    std::string error;
    ASSERT_TRUE(WriteNpy(path_, written, &error)) << error;
    NpyArray read;
    ASSERT_TRUE(ReadNpy(path_, &read, &error)) << error;
    EXPECT_EQ(read.dimensions, written.dimensions);
    EXPECT_EQ(read.rows, written.rows);
    EXPECT_EQ(read.columns, written.columns);
    for (size_t i = 0; i < shape[1] * shape[2]; i++) ASSERT_EQ(read.values[i], written.values[i]);
  }
}

// Byte by byte what numpy.save writes.
TEST_F(NpyTest, WritesWhatNumpyWrites) {
  std::string error;
  ASSERT_TRUE(WriteNpy(path_, SomeArray(2, 1, 2), &error)) << error;
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
  header.resize(117, ' ');
  EXPECT_EQ(ReadBytes(), NpyBytes(1, header + "\n", {0.5f, 1.5f}));
}

TEST_F(NpyTest, ReplacesAFileAndLeavesNothingBeside) {
  WriteBytes("old");
  std::string error;
  ASSERT_TRUE(WriteNpy(path_, SomeArray(1, 1, 3), &error)) << error;
  NpyArray read;
  EXPECT_TRUE(ReadNpy(path_, &read, &error)) << error;
}  // TearDown finds the folder empty but for the file

TEST_F(NpyTest, SaysWhyItCannotWrite) {
  std::string error;
  EXPECT_FALSE(WriteNpy(folder_ + "/absent/array.npy", SomeArray(1, 1, 3), &error));
  EXPECT_EQ(error, strerror(ENOENT));
  EXPECT_FALSE(WriteNpy(folder_, SomeArray(1, 1, 3), &error));
  EXPECT_EQ(error, strerror(EISDIR));
}

TEST_F(NpyTest, NoticesAFullDevice) {
  struct stat before;
  ASSERT_EQ(stat("/dev/full", &before), 0);
  std::string error;
  EXPECT_FALSE(WriteNpy("/dev/full", SomeArray(1, 1, 3), &error));
  EXPECT_EQ(error, strerror(ENOSPC));
  struct stat after;
  ASSERT_EQ(stat("/dev/full", &after), 0);
  EXPECT_TRUE(S_ISCHR(after.st_mode)) << "a device must not be replaced by a file";
}

TEST(AllocateFloats, AlignsAndRefuses) {
  EXPECT_EQ(reinterpret_cast<uintptr_t>(AllocateFloats(3).get()) % 64, 0u);
  EXPECT_NE(AllocateFloats(0), nullptr);
  EXPECT_EQ(AllocateFloats(SIZE_MAX), nullptr);
  EXPECT_EQ(AllocateFloats(SIZE_MAX / 4), nullptr);
}

}  // namespace
