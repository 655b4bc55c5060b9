"""scripts/check-wgmma-registers on small kernels, right ones and wrong ones."""
import unittest

from load_script import load_script

script = load_script("check-wgmma-registers")
REGISTERS = 32
COLUMNS = 100  # before the life ranges


def kernel(*lines):
    """What nvdisasm -c -lrm narrow prints. A line is a label, or (instruction, registers read, registers written)."""
    digits = "".join(str(i % 10) for i in range(REGISTERS))
    text = [".section\t.text.some_kernel,\"ax\",@progbits", " " * COLUMNS + f"// |   # {digits}  | # 01  |"]
    address = 0
    for line in lines:
        if isinstance(line, str):
            text.append(f"{line}:")
            continue
        instruction, reads, writes = line
        marks = "".join("x" if i in reads and i in writes else "v" if i in reads else "^" if i in writes else " "
                        for i in range(REGISTERS))
        text.append(f"        /*{address:04x}*/ {instruction} ;".ljust(COLUMNS) + f"// |   1 {marks}  |")
        address += 16
    return text


def findings(*lines):
    (parsed,) = script.parse(kernel(*lines))
    return [(found[0].text, what) for (_, what), found in script.Checker(parsed).run().findings.items()]


SUMS = range(8, 16)
OTHER_SUMS = range(16, 24)
A = range(0, 4)


def wgmma(a=A, sums=SUMS, closes=True):
    operand = f"R{min(a)}" if a else "gdesc[UR4]"
    return (f"HGMMA.64x16x16.F32.BF16 R{min(sums)}, {operand}, gdesc[UR6], R{min(sums)}{', gsb0' if closes else ''}",
            set(a) | set(sums), set(sums))


def wait(newest):
    return (f"WARPGROUP.DEPBAR.LE gsb0, 0x{newest:x}", (), ())


def write(register):
    return (f"MOV R{register}, RZ", (), {register})


def read(register):
    return (f"FADD R30, R{register}, R{register}", {register}, {30})


EXIT = ("EXIT", (), ())


class Straight(unittest.TestCase):
    def test_right(self):
        self.assertEqual(findings(write(0), wgmma(), write(5), read(6), wait(0), write(0), read(8), EXIT), [])

    def test_operand_overwritten(self):
        self.assertEqual(findings(wgmma(), write(2), wait(0), EXIT), [("MOV R2, RZ", "writes operand A")])

    def test_operand_may_be_read(self):
        self.assertEqual(findings(wgmma(), read(2), wait(0), EXIT), [])

    def test_sums_read_or_written(self):
        self.assertEqual(findings(wgmma(), read(9), wait(0), EXIT), [("FADD R30, R9, R9", "touches accumulators")])
        self.assertEqual(findings(wgmma(), write(15), wait(0), EXIT), [("MOV R15, RZ", "touches accumulators")])

    def test_sums_of_operands_in_shared_memory(self):
        self.assertEqual(len(findings(wgmma(a=()), read(9), wait(0), EXIT)), 1)

    def test_next_one_adds_to_the_same_sums(self):
        self.assertEqual(findings(wgmma(closes=False), wgmma(a=range(4, 8)), wait(0), EXIT), [])

    def test_next_one_takes_part_of_the_sums(self):
        self.assertEqual(len(findings(wgmma(), wgmma(a=(), sums=range(12, 20)), wait(0), EXIT)), 1)

    def test_next_one_reads_sums_as_operand(self):
        self.assertEqual(len(findings(wgmma(), wgmma(a=range(8, 12), sums=OTHER_SUMS), wait(0), EXIT)), 1)

    def test_wait_for_all_but_the_newest(self):
        two = (wgmma(), wgmma(a=range(4, 8), sums=OTHER_SUMS))
        self.assertEqual(findings(*two, wait(1), write(0), read(8), wait(0), EXIT), [])
        self.assertEqual(len(findings(*two, wait(1), write(4), wait(0), EXIT)), 1)
        self.assertEqual(len(findings(*two, wait(2), write(0), wait(0), EXIT)), 1)

    def test_open_group_is_not_waited_for(self):
        self.assertEqual(len(findings(wgmma(closes=False), wait(0), write(0), EXIT)), 1)


class Branches(unittest.TestCase):
    def test_one_branch_overwrites(self):
        lines = (wgmma(), ("@P0 BRA `(.L_x_1)", (), ()), wait(0), EXIT, ".L_x_1", write(1), wait(0), EXIT)
        self.assertEqual(len(findings(*lines)), 1)

    def test_one_branch_does_not_wait(self):
        lines = (wgmma(), ("@P0 BRA `(.L_x_1)", (), ()), wait(0), ".L_x_1", write(1), EXIT)
        self.assertEqual(len(findings(*lines)), 1)

    def test_in_flight_round_a_loop(self):
        loop = (".L_x_1", write(3), wgmma(), wait(1), ("@P0 BRA `(.L_x_1)", (), ()), wait(0), EXIT)
        self.assertEqual(len(findings(*loop)), 1)
        loop = (".L_x_1", wait(0), write(3), wgmma(), ("@P0 BRA `(.L_x_1)", (), ()), wait(0), EXIT)
        self.assertEqual(findings(*loop), [])

    def test_no_way_past_a_branch(self):
        lines = (wgmma(), ("BRA `(.L_x_1)", (), ()), write(1), ".L_x_1", wait(0), EXIT)
        self.assertEqual(findings(*lines), [])

    def test_where_threads_meet_again(self):
        lines = (("BSSY B1, `(.L_x_2)", (), ()), wgmma(), ("@P0 BRA `(.L_x_1)", (), ()), wait(0),
                 ("BSYNC B1", (), ()), EXIT, ".L_x_1", ("BSYNC B1", (), ()), EXIT, ".L_x_2", write(1), wait(0), EXIT)
        self.assertEqual(len(findings(*lines)), 1)

    def test_called_function(self):
        call = (wgmma(), ("CALL.REL.NOINC `(.L_x_1)", (), ()), wait(0), EXIT, ".L_x_1")
        self.assertEqual(len(findings(*call, write(1), ("RET.REL.NODEC R20 `(some_kernel)", (), ()))), 1)
        self.assertEqual(findings(*call, write(5), ("RET.REL.NODEC R20 `(some_kernel)", (), ())), [])


class Refusals(unittest.TestCase):
    def test_nobody_waits(self):
        with self.assertRaises(script.Refused):
            findings(".L_x_1", wgmma(), ("@P0 BRA `(.L_x_1)", (), ()), EXIT)

    def test_unknown_branch(self):
        with self.assertRaises(script.Refused):
            findings(wgmma(), ("BRX R4 -0x10", (), ()), EXIT)

    def test_no_life_ranges(self):
        text = [line.split("//")[0] for line in kernel(wgmma(), wait(0), EXIT)]
        with self.assertRaises(script.Refused):
            script.parse(text)

    def test_wgmma_that_no_path_leads_to(self):
        with self.assertRaises(script.Refused):
            findings(EXIT, wgmma(), wait(0), EXIT)


if __name__ == "__main__":
    unittest.main()
