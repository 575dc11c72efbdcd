// Softmax over a vocabulary that is split over MPI ranks. Each rank has the logits of some columns, as the last layer of a
// language model that is split over devices has, and never sees the others: it reduces its piece of each row to a partial
// sum, one MPI_Allreduce merges the sums of all ranks, and each rank scales its piece.
//
// Pieces are whole tiles of smx_create_partial_sum_nc, so that the result has the bits of softmax of the whole rows, however
// many ranks there are. Rank 0, which hands out the logits, collects the results and checks that.
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <string>
#include <vector>

#include "examples/npy.h"
#include "include/smxpack.hpp"

namespace {

constexpr size_t kTile = 16384;

void Require(bool condition, const std::string& what) {
  if (condition) return;
  fprintf(stderr, "vocabulary_mpi: %s\n", what.c_str());
  MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
}

void Require(smx_status status) {
  Require(status == smx_status_success, smx_status_to_string(status));
}

struct Piece {
  size_t first;    // column
  size_t columns;  // 0 where there are fewer tiles than ranks
};

// The columns of a rank: tiles, as evenly as they go.
Piece PieceOf(size_t rank, size_t ranks, size_t columns) {
  const size_t tiles = (columns + kTile - 1) / kTile;
  const size_t first = tiles * rank / ranks * kTile;
  const size_t last = std::min(tiles * (rank + 1) / ranks * kTile, columns);
  return {first, last - first};
}

// Columns of a matrix, for MPI to read or write where they are.
class Columns {
 public:
  Columns(size_t rows, size_t columns, size_t stride) {
    MPI_Type_vector(static_cast<int>(rows), static_cast<int>(columns), static_cast<int>(stride), MPI_FLOAT,
                    &type_);
    MPI_Type_commit(&type_);
  }
  ~Columns() { MPI_Type_free(&type_); }
  Columns(const Columns&) = delete;
  Columns& operator=(const Columns&) = delete;

  MPI_Datatype type() const { return type_; }

 private:
  MPI_Datatype type_;
};

// Rank 0's matrix to the others' pieces.
std::vector<float> Scatter(const float* matrix, size_t rows, size_t columns, size_t rank, size_t ranks) {
  std::vector<MPI_Request> requests;
  for (size_t to = 0; rank == 0 && to < ranks; to++) {
    const Piece piece = PieceOf(to, ranks, columns);
    requests.emplace_back();
    MPI_Isend(matrix + piece.first, 1, Columns(rows, piece.columns, columns).type(), static_cast<int>(to), 0,
              MPI_COMM_WORLD, &requests.back());
  }
  std::vector<float> mine(rows * PieceOf(rank, ranks, columns).columns);
  MPI_Recv(mine.data(), static_cast<int>(mine.size()), MPI_FLOAT, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  return mine;
}

// The pieces to rank 0's matrix; empty elsewhere.
std::vector<float> Gather(const std::vector<float>& mine, size_t rows, size_t columns, size_t rank,
                          size_t ranks) {
  MPI_Request request;
  MPI_Isend(mine.data(), static_cast<int>(mine.size()), MPI_FLOAT, 0, 0, MPI_COMM_WORLD, &request);
  std::vector<float> matrix(rank == 0 ? rows * columns : 0);
  for (size_t from = 0; rank == 0 && from < ranks; from++) {
    const Piece piece = PieceOf(from, ranks, columns);
    MPI_Recv(matrix.data() + piece.first, 1, Columns(rows, piece.columns, columns).type(),
             static_cast<int>(from), 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  return matrix;
}

std::vector<smx_partial_sum> PartialSums(const std::vector<float>& piece, size_t rows) {
  // A rank without columns has a piece that counts for nothing.
  const std::vector<float> nothing(rows, -INFINITY);
  const std::vector<float>& x = piece.empty() ? nothing : piece;
  const size_t columns = x.size() / rows;
  std::vector<smx_partial_sum> sums(rows);
  smxpack::PartialSum<smx_datatype_f32> op;
  Require(op.Create());
  Require(op.Setup(rows, columns, columns, x.data(), sums.data()));
  Require(op.Run());
  return sums;
}

// An MPI_User_function.
void MergePartialSums(void* others, void* sums, int* count, MPI_Datatype*) {
  Require(smx_merge_partial_sums(static_cast<size_t>(*count), static_cast<smx_partial_sum*>(sums),
                                 static_cast<const smx_partial_sum*>(others)));
}

void AllReduce(std::vector<smx_partial_sum>* sums) {
  MPI_Datatype type;
  MPI_Type_contiguous(sizeof(smx_partial_sum), MPI_BYTE, &type);
  MPI_Type_commit(&type);
  MPI_Op merge;
  MPI_Op_create(MergePartialSums, /*commute=*/1, &merge);
  MPI_Allreduce(MPI_IN_PLACE, sums->data(), static_cast<int>(sums->size()), type, merge, MPI_COMM_WORLD);
  MPI_Op_free(&merge);
  MPI_Type_free(&type);
}

std::vector<float> Scale(const std::vector<float>& x, const std::vector<smx_partial_sum>& sums) {
  std::vector<float> y(x.size());
  if (x.empty()) return y;
  const size_t columns = x.size() / sums.size();
  smxpack::ScaleByPartialSum<smx_datatype_f32> op;
  Require(op.Create());
  Require(op.Setup(sums.size(), columns, columns, columns, x.data(), sums.data(), y.data()));
  Require(op.Run());
  return y;
}

std::vector<float> SoftmaxOfWholeRows(const NpyArray& logits) {
  std::vector<float> y(logits.rows * logits.columns);
  smxpack::Softmax<smx_datatype_f32> op;
  Require(op.Create());
  Require(
      op.Setup(logits.rows, logits.columns, logits.columns, logits.columns, logits.values.get(), y.data()));
  Require(op.Run());
  return y;
}

void Report(size_t rows, size_t columns, size_t ranks, bool are_same) {
  printf("%zu rows of %zu columns on %zu ranks:", rows, columns, ranks);
  for (size_t rank = 0; rank < ranks; rank++) printf(" %zu", PieceOf(rank, ranks, columns).columns);
  printf("\n%s\n", are_same ? "the bits of softmax of the whole rows"
                            : "the bits differ from softmax of the whole rows");
}

bool Run(const char* path) {
  int rank, ranks;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const size_t me = static_cast<size_t>(rank), all = static_cast<size_t>(ranks);

  NpyArray logits;
  if (me == 0) {
    std::string error;
    const bool is_read = ReadNpy(path, &logits, &error);
    Require(is_read, std::string(path) + ": " + error);
    Require(logits.rows > 0 && logits.columns > 0, std::string(path) + ": no logits");
  }
  uint64_t shape[2] = {logits.rows, logits.columns};
  MPI_Bcast(shape, 2, MPI_UINT64_T, 0, MPI_COMM_WORLD);
  const size_t rows = shape[0], columns = shape[1];

  Require(smx_initialize(nullptr));
  const std::vector<float> x = Scatter(logits.values.get(), rows, columns, me, all);
  std::vector<smx_partial_sum> sums = PartialSums(x, rows);
  AllReduce(&sums);
  const std::vector<float> y = Gather(Scale(x, sums), rows, columns, me, all);
  if (me != 0) return true;

  const bool are_same = memcmp(y.data(), SoftmaxOfWholeRows(logits).data(), y.size() * sizeof(float)) == 0;
  Report(rows, columns, all, are_same);
  return are_same;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  Require(argc == 2, "usage: mpirun -n RANKS vocabulary_mpi LOGITS.npy");
  const bool succeeded = Run(argv[1]);
  MPI_Finalize();
  return succeeded ? EXIT_SUCCESS : EXIT_FAILURE;
}
