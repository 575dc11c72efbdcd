// The floating-point environment that kernels run in: rounding to nearest, flush-to-zero (inputs too), exceptions
// masked. The caller's is restored with its exception flags.
#pragma once

#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

class smx_fp_environment {
 public:
#if defined(__x86_64__)
  // FZ, masks, DAZ. Exception flags stay, for Intel's processors take 90 ns to load others.
  smx_fp_environment() : saved_(_mm_getcsr()) {
    _mm_setcsr(0x9FC0 | (saved_ & 0x3F));
  }
  ~smx_fp_environment() {
    _mm_setcsr(saved_);
  }
#elif defined(__aarch64__)
  smx_fp_environment() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
    __asm__ volatile("mrs %0, fpsr" : "=r"(saved_flags_));
    __asm__ volatile("msr fpcr, %0" : : "r"(uint64_t{1} << 24));  // FZ
  }
  ~smx_fp_environment() {
    __asm__ volatile("msr fpcr, %0" : : "r"(saved_));
    __asm__ volatile("msr fpsr, %0" : : "r"(saved_flags_));
  }
#else
#error "smxpack supports x86-64 and AArch64"
#endif
  smx_fp_environment(const smx_fp_environment&) = delete;
  smx_fp_environment& operator=(const smx_fp_environment&) = delete;

 private:
#if defined(__x86_64__)
  uint32_t saved_;
#else
  uint64_t saved_;
  uint64_t saved_flags_;
#endif
};
