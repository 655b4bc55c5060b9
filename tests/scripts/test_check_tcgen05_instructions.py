"""scripts/check-tcgen05-instructions: what it counts, and what it complains about."""
import unittest

from load_script import load_script

script = load_script("check-tcgen05-instructions")
SHAPES = ((64, 64), (128, 128), (192, 128))
TEXT = {
    "S=QK": "UTCHMMA gdesc[UR18], gdesc[UR26], tmem[UR16], tmem[UR24], idesc[UR25], !UPT",
    "O=PV": "UTCHMMA tmem[UR14], gdesc[UR26], tmem[UR28], tmem[UR24], idesc[UR25], UP2",
    "commit": "UTCBAR [UR4], URZ",
    "LDTM": "LDTM.x64 R4, tmem[UR4]",
    "STTM": "STTM.x16 tmem[UR4], R4",
    "boxes in": "UTMALDG.5D [UR8], [UR4]",
    "boxes out": "UTMASTG.5D [UR8], [UR4]",
    "widened": "F2FP.F16.E4M3.UNPACK_B R5, R4.H1",
    "barriers": "SYNCS.EXCH.64 URZ, [UR4], UR6",
    "arrivals": "SYNCS.ARRIVE.TRANS64.A1T0 RZ, [R2+URZ], RZ",
    "waits": "SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [R2+URZ], R3",
    "exp2": "MUFU.EX2 R4, R5",
    "alloc": "UTCATOMSWS.FIND_AND_SET.ALIGN UP0, UR4, UR4",
    "free": "UTCATOMSWS.AND URZ, UR4",
    "setmaxnreg": "USETMAXREG.DEALLOC.CTAPOOL 0x58",
}


def text(element, kind):
    return TEXT[kind].replace("UTCHMMA gdesc", "UTCQMMA gdesc") if element == "e4m3" else TEXT[kind]


def complete(element, qk, vo):
    """What nvdisasm -c prints of a kernel that has everything."""
    return [f"        /*{16 * i:04x}*/                   @!P0 {text(element, kind)} ;"
            for kind, _, least in script.expected(element, qk, vo) for i in range(least)]


class Instructions(unittest.TestCase):
    def test_every_kind_is_found(self):
        for element in ("fp16", "bf16", "e4m3"):
            for qk, vo in SHAPES:
                kinds, local = script.judge(element, qk, vo, complete(element, qk, vo))
                self.assertEqual([found for _, found, _ in kinds], [least for _, _, least in kinds])
                self.assertEqual(local, 0)

    def test_one_that_is_missing(self):
        for element in ("fp16", "e4m3"):
            for kind, _, least in script.expected(element, 128, 128):
                if least == 0:
                    continue
                lines = complete(element, 128, 128)
                lines.remove(next(line for line in lines if text(element, kind) in line))
                kinds, _ = script.judge(element, 128, 128, lines)
                self.assertEqual([name for name, found, least in kinds if found < least], [kind])

    def test_products_follow_the_shape(self):
        products = lambda *shape: [least for kind, _, least in script.expected(*shape) if kind in ("S=QK", "O=PV")]
        self.assertEqual(products("fp16", 64, 64), [16, 16])
        self.assertEqual(products("bf16", 192, 128), [48, 16])
        self.assertEqual(products("e4m3", 192, 128), [24, 16])

    def test_scores_of_fp8_are_no_products_of_two_bytes(self):
        kinds, _ = script.judge("e4m3", 64, 64, complete("fp16", 64, 64))
        self.assertIn("S=QK", [name for name, found, least in kinds if found < least])

    def test_local_memory(self):
        _, local = script.judge("fp16", 64, 64, complete("fp16", 64, 64) + ["        /*0f00*/                   STL.64 [R1+0x8], R4 ;",
                                                            "        /*0f10*/                   LDL R4, [R1] ;"])
        self.assertEqual(local, 2)


if __name__ == "__main__":
    unittest.main()
