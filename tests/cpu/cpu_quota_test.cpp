// Limits of control groups, written as the kernel shows them.
#include "plan/cpu_quota.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace varlen {
namespace {

class CpuQuota : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "varlen_quota_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((folder_ / path).parent_path());
    std::ofstream(folder_ / path) << text;
  }
  std::int32_t quota() const { return cpu_quota(folder_ / "groups", folder_ / "mount"); }

 private:
  std::filesystem::path folder_;
};

TEST_F(CpuQuota, NoControlGroups) { EXPECT_EQ(quota(), 0); }

TEST_F(CpuQuota, OfAContainer) {
  write("groups", "0::/\n");
  write("mount/cpu.max", "200000 100000\n");
  EXPECT_EQ(quota(), 2);
  write("mount/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 2) << "rounded up";
  write("mount/cpu.max", "10000 100000\n");
  EXPECT_EQ(quota(), 1);
  write("mount/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 0);
  write("mount/cpu.max", "nonsense\n");
  EXPECT_EQ(quota(), 0);
}

TEST_F(CpuQuota, TheLeastOfAGroupAndThoseAroundIt) {
  write("groups", "0::/user.slice/work.scope\n");
  write("mount/user.slice/cpu.max", "300000 100000\n");
  write("mount/user.slice/work.scope/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 3);
  write("mount/user.slice/work.scope/cpu.max", "100000 100000\n");
  EXPECT_EQ(quota(), 1);
}

TEST_F(CpuQuota, OfVersion1) {
  write("groups", "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n3:cpuset:/\n");
  write("mount/cpu/cpu.cfs_period_us", "100000\n");
  write("mount/cpu/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(quota(), 0);
  write("mount/cpu/cpu.cfs_quota_us", "400000\n");
  EXPECT_EQ(quota(), 4) << "the group's own path is not mounted in a container";
}

}  // namespace
}  // namespace varlen
