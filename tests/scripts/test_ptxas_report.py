"""scripts/ptxas-report: what it reads, and what it complains about."""
import unittest

from load_script import load_script

script = load_script("ptxas-report")

CLEAN = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z1fv' for 'sm_80'
ptxas info    : Function properties for _Z1fv
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 168 registers, used 9 barriers, 384 bytes smem, 1048 bytes cmem[0]
"""
SPILLS = """ptxas info    : Compiling entry function '_Z1fv' for 'sm_90a'
ptxas info    : Function properties for _Z1fv
    24 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers
"""
SERIALIZED = """ptxas info    : Compiling entry function '_Z1fv' for 'sm_90a'
ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to something
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 200 registers
"""


class Report(unittest.TestCase):
    def test_reads_every_kernel(self):
        clean, spills = script.parse("instance", CLEAN + SPILLS)
        self.assertEqual((clean.name, clean.architecture, clean.registers, clean.shared), ("instance", "sm_80", 168, 384))
        self.assertEqual(clean.findings(), set())
        self.assertEqual((spills.stack, spills.stores, spills.loads, spills.registers), (24, 8, 12, 255))
        self.assertEqual(spills.findings(), {"spills"})

    def test_several_kernels_of_one_file_have_names_of_their_own(self):
        kernels = script.parse("file", CLEAN + CLEAN.replace("_Z1fv", "_ZN1n1gIiEEvT_"))
        self.assertEqual([kernel.name for kernel in kernels], ["file:f", "file:g"])

    def test_warnings(self):
        (kernel,) = script.parse("instance", SERIALIZED)
        self.assertEqual(kernel.findings(), {"warning"})
        self.assertEqual(len(script.judge([kernel], [])), 2)  # the finding, and the message itself
        (kernel,) = script.parse("instance", CLEAN + "ptxas warning : Value of threads per SM is out of range\n")
        self.assertEqual(kernel.findings(), {"warning"})

    def test_findings_need_an_exception(self):
        kernels = script.parse("instance", CLEAN + SPILLS)
        self.assertEqual(script.judge(kernels, []), ["instance on sm_90a: spills"])
        self.assertEqual(script.judge(kernels, [("inst*", "sm_90a", "spills", "because")]), [])
        self.assertEqual(len(script.judge(kernels, [("inst*", "sm_90a", "warning", "because")])), 2)

    def test_exceptions_must_be_needed(self):
        kernels = script.parse("instance", CLEAN + SPILLS)
        everywhere = script.judge(kernels, [("inst*", "sm_*", "spills", "because")])
        self.assertEqual(everywhere, ["exception inst* sm_* spills is not needed: instance on sm_80"])
        gone = script.judge(kernels[:1], [("other", "sm_80", "spills", "because")])
        self.assertEqual(gone, ["exception other sm_80 spills is not needed: there is no such kernel"])

    def test_exceptions_need_a_reason(self):
        self.assertEqual(script.read_exceptions("# nothing\n\na* sm_80 spills: it is so\n"), [("a*", "sm_80", "spills", "it is so")])
        for wrong in ("a* sm_80 spills:", "a* sm_80: it is so", "a* sm_80 slow: it is so"):
            with self.assertRaises(SystemExit):
                script.read_exceptions(wrong)


if __name__ == "__main__":
    unittest.main()
