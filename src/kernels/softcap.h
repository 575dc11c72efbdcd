// Coefficients of f32-vsoftcap: tanh(z) = z * p(z^2) / q(z^2) within +-SMX_LARGEST_TANH, fitted by Lawson's weights.
#pragma once

#define SMX_LARGEST_TANH 0x1.20594Ap+3f

static const float smx_tanh_p[6] = {0x1p+0f,         0x1.182C60p-3f,  0x1.FB1964p-9f,
                                    0x1.D61148p-16f, 0x1.06F232p-25f, -0x1.AE0C74p-37f};
static const float smx_tanh_q[5] = {0x1p+0f, 0x1.E16B84p-2f, 0x1.BE6D7Ep-6f, 0x1.9D1804p-12f,
                                    0x1.59C6D4p-20f};
