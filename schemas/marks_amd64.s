#include "go_asm.h"
#include "textflag.h"

// Marks of 64 bytes at a time, as stage 1 of simdjson finds them (Langdale and
// Lemire, "Parsing Gigabytes of JSON per Second", 2019): AVX2, BMI1, carry-less
// multiplication. Nothing branches on the text but whether a block holds a
// backslash, and how many marks it has.

// Tables that the low half of a byte chooses from: the byte that white space, and
// the byte with bit 5 set that one of {}[]:, would have there.
DATA blanks<>+0(SB)/8, $0x6464641164646420
DATA blanks<>+8(SB)/8, $0x64640d64640a0902
DATA blanks<>+16(SB)/8, $0x6464641164646420
DATA blanks<>+24(SB)/8, $0x64640d64640a0902
GLOBL blanks<>(SB), RODATA|NOPTR, $32

DATA operators<>+0(SB)/8, $0x0000000000000000
DATA operators<>+8(SB)/8, $0x00007d2c7b3a0000
DATA operators<>+16(SB)/8, $0x0000000000000000
DATA operators<>+24(SB)/8, $0x00007d2c7b3a0000
GLOBL operators<>(SB), RODATA|NOPTR, $32

DATA slashes<>+0(SB)/8, $0x5c5c5c5c5c5c5c5c
GLOBL slashes<>(SB), RODATA|NOPTR, $8
DATA quotes<>+0(SB)/8, $0x2222222222222222
GLOBL quotes<>(SB), RODATA|NOPTR, $8
DATA controls<>+0(SB)/8, $0x1f1f1f1f1f1f1f1f
GLOBL controls<>(SB), RODATA|NOPTR, $8
DATA cases<>+0(SB)/8, $0x2020202020202020
GLOBL cases<>(SB), RODATA|NOPTR, $8

// BITS makes one word of what compared equal in the two halves of a block.
#define BITS(low, high, word) \
	VPMOVMSKB low, word; \
	VPMOVMSKB high, BX;  \
	SHLQ $32, BX;        \
	ORQ  BX, word

#define PLACE(n) \
	TZCNTQ AX, CX;      \
	ADDL   R9, CX;      \
	MOVL   CX, 4*n(DI); \
	BLSRQ  AX, AX

#define TEXT_ SI
#define OUT DI
#define ESCAPE R11 // 1: the next block's first byte is escaped
#define INSIDE R12 // all ones: the next block begins inside a string
#define SCALAR R14 // 1: the byte before the next block belongs to a scalar
#define WRONG R15  // control characters inside strings

// func vectorMarks(b *byte, blocks, first int, out *uint32, s *markState) (n int)
TEXT ·vectorMarks(SB), NOSPLIT, $0-48
	MOVQ b+0(FP), TEXT_
	MOVQ out+24(FP), OUT
	MOVQ s+32(FP), AX
	MOVQ markState_escape(AX), ESCAPE
	MOVQ markState_inside(AX), INSIDE
	MOVQ markState_scalar(AX), SCALAR
	MOVQ markState_wrong(AX), WRONG
	VPBROADCASTQ slashes<>(SB), Y15
	VPBROADCASTQ quotes<>(SB), Y14
	VPBROADCASTQ controls<>(SB), Y13
	VPBROADCASTQ cases<>(SB), Y12
	VMOVDQU blanks<>(SB), Y11
	VMOVDQU operators<>(SB), Y10
	VPCMPEQB X9, X9, X9

block:
	DECQ blocks+8(FP)
	JLT  done
	VMOVDQU (TEXT_), Y0
	VMOVDQU 32(TEXT_), Y1
	ADDQ $64, TEXT_

	VPCMPEQB Y15, Y0, Y2
	VPCMPEQB Y15, Y1, Y3
	BITS(Y2, Y3, AX) // backslashes
	VPCMPEQB Y14, Y0, Y4
	VPCMPEQB Y14, Y1, Y5
	BITS(Y4, Y5, DX) // quotes
	VPMINUB  Y13, Y0, Y6
	VPMINUB  Y13, Y1, Y7
	VPCMPEQB Y6, Y0, Y6
	VPCMPEQB Y7, Y1, Y7
	BITS(Y6, Y7, R8) // control characters
	VPOR     Y12, Y0, Y2
	VPOR     Y12, Y1, Y3
	VPSHUFB  Y0, Y10, Y4
	VPSHUFB  Y1, Y10, Y5
	VPCMPEQB Y2, Y4, Y4
	VPCMPEQB Y3, Y5, Y5
	BITS(Y4, Y5, R9) // {}[]:,
	VPSHUFB  Y0, Y11, Y6
	VPSHUFB  Y1, Y11, Y7
	VPCMPEQB Y0, Y6, Y6
	VPCMPEQB Y1, Y7, Y7
	BITS(Y6, Y7, R10) // white space

	// Which bytes are escaped: a run of backslashes that begins at an even place
	// and one that begins at an odd one differ in where a subtraction ends.
	XORL R13, R13 // backslashes that begin an escape
	MOVQ AX, CX
	ORQ  ESCAPE, CX
	JZ   unescaped
	ANDNQ AX, ESCAPE, CX
	LEAQ (CX)(CX*1), R13
	MOVQ $0xAAAAAAAAAAAAAAAA, BX
	ORQ  BX, R13
	SUBQ CX, R13
	XORQ BX, R13
	MOVQ AX, BX
	ORQ  ESCAPE, BX
	XORQ R13, BX // escaped
	MOVQ R13, ESCAPE
	ANDQ AX, ESCAPE
	SHRQ $63, ESCAPE
	ANDNQ DX, BX, DX
	ANDNQ AX, BX, R13

unescaped:
	// Inside: from the opening quote to before the closing one.
	VMOVQ DX, X2
	VPCLMULQDQ $0, X9, X2, X2
	VMOVQ X2, CX
	XORQ INSIDE, CX
	MOVQ CX, INSIDE
	SARQ $63, INSIDE
	ANDQ CX, R8
	ORQ  R8, WRONG

	// Scalars begin where neither white space nor an operator is and nothing of a
	// scalar stands before.
	ORQ  R9, R10
	NOTQ R10
	ANDNQ R10, DX, BX
	LEAQ (BX)(BX*1), AX
	ORQ  SCALAR, AX
	SHRQ $63, BX
	MOVQ BX, SCALAR
	ANDNQ R10, AX, AX
	ORQ  R9, AX
	XORQ DX, CX
	ANDNQ AX, CX, AX
	ORQ  DX, AX
	ORQ  R13, AX

	// Eight places are written at once, the surplus is overwritten.
	MOVQ first+16(FP), R9
	ADDQ $64, first+16(FP)
	POPCNTQ AX, R10
	LEAQ (OUT)(R10*4), R10

places:
	PLACE(0)
	PLACE(1)
	PLACE(2)
	PLACE(3)
	PLACE(4)
	PLACE(5)
	PLACE(6)
	PLACE(7)
	ADDQ $32, OUT
	CMPQ OUT, R10
	JLT  places
	MOVQ R10, OUT
	JMP  block

done:
	MOVQ s+32(FP), AX
	MOVQ ESCAPE, markState_escape(AX)
	MOVQ INSIDE, markState_inside(AX)
	MOVQ SCALAR, markState_scalar(AX)
	MOVQ WRONG, markState_wrong(AX)
	SUBQ out+24(FP), OUT
	SHRQ $2, OUT
	MOVQ OUT, n+40(FP)
	VZEROUPPER
	RET
